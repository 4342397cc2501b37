import { PgarkError } from "../errors.ts";
import { recipientOf } from "../repository/keys.ts";
import type { Repository } from "../repository/repository.ts";

/**
 * Throws `no-identity` unless the keys at hand are such as the cluster encrypts to. Once that is known, an object that they do not
 * open was encrypted to others: that is its fault, and not the user's.
 * @param what "data" is read with an owner's key alone; manifests and histories with the host's own, too
 */
export async function proveKeys(repository: Repository, what: "data" | "manifests"): Promise<void> {
  if (!repository.encrypted) return;
  const known = what === "data" ? repository.recipients : repository.metadataRecipients;
  const own = await Promise.all(repository.secretKeys.map(recipientOf));
  if (own.some((recipient) => known.includes(recipient))) return;
  const isHostKey = own.some((recipient) => repository.metadataRecipients.includes(recipient));
  throw new PgarkError(
    "no-identity",
    own.length === 0 ? "the cluster is encrypted, and no key was given" : "the key given does not open this cluster",
    {
      operation: "verify",
      object: repository.cluster,
      hint: isHostKey
        ? "the host's own key opens manifests only: reading data back takes the identity that pgark init --encrypt made (--identity-file)"
        : "name the file with the identity that pgark init --encrypt made (--identity-file), or, without --read, the host's key",
    },
  );
}

/** Whether the keys at hand open data, too. */
export async function canReadData(repository: Repository): Promise<boolean> {
  if (!repository.encrypted) return true;
  const own = await Promise.all(repository.secretKeys.map(recipientOf));
  return own.some((recipient) => repository.recipients.includes(recipient));
}
