import { expect, test } from "vitest";
import { checkRecipient, generateKeyPair, parseIdentityFile, recipientOf } from "../../src/repository/keys.ts";

test("a key pair is made whose public key follows from the secret one", async () => {
  const pair = await generateKeyPair();
  expect(pair.identity).toMatch(/^AGE-SECRET-KEY-1[0-9A-Z]{58}$/);
  expect(pair.recipient).toMatch(/^age1[0-9a-z]{58}$/);
  expect(await recipientOf(pair.identity)).toBe(pair.recipient);
  expect((await generateKeyPair()).identity).not.toBe(pair.identity);
});

test("an identity file is read as age-keygen writes it, with several keys and any line ends", async () => {
  const { identity: one, recipient } = await generateKeyPair();
  const { identity: two } = await generateKeyPair();
  const text = `# created: 2026-11-20T10:00:00Z\n# public key: ${recipient}\n${one}\r\n\n  ${two}  \n`;
  expect(parseIdentityFile(text)).toEqual([one, two]);
});

test.each([
  "",
  "# only a comment\n",
  "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq",
  "-----BEGIN AGE ENCRYPTED FILE-----\n",
])("%j is no identity file", (text) => {
  expect(() => parseIdentityFile(text)).toThrow(expect.objectContaining({ code: "usage" }));
});

test("an error about keys never repeats a secret, however it was mistaken", async () => {
  const { identity } = await generateKeyPair();
  const mistakes = [
    identity,
    ` ${identity}`,
    identity.toLowerCase(),
    `"${identity}"`,
    identity.slice(0, -1),
    `age1${identity}`,
  ];
  for (const text of mistakes) {
    const errors: unknown[] = [];
    try {
      await checkRecipient(text);
    } catch (error) {
      errors.push(error);
    }
    expect(errors, "a secret is no recipient").toHaveLength(1);
    errors.push(await recipientOf(`${text}x`).catch((error: unknown) => error));
    try {
      parseIdentityFile(`${text}!`);
    } catch (error) {
      errors.push(error);
    }
    for (const error of errors) {
      expect(error).toMatchObject({ name: "PgarkError", code: "usage" });
      const told = `${(error as Error).stack} ${JSON.stringify(error)} ${String((error as Error).cause)}`.toUpperCase();
      expect(told).not.toContain(identity.slice(20, 40));
    }
  }
});

test("a mistyped public key is refused before anything is encrypted to nobody", async () => {
  const { recipient } = await generateKeyPair();
  await expect(checkRecipient(recipient)).resolves.toBeUndefined();
  const last = recipient.endsWith("q") ? "p" : "q";
  for (const typo of [
    recipient.slice(0, -1) + last,
    recipient.slice(0, -1),
    `${recipient}q`,
    recipient.toUpperCase(),
    "age1",
    "",
  ]) {
    await expect(checkRecipient(typo)).rejects.toMatchObject({ code: "usage", object: typo });
  }
});
