/** Put in by scripts/build.mjs, from package.json; not there when the sources run as they are. */
declare const PGARK_VERSION: string | undefined;

/** The version of this pgark, as `--version` and `backup.json` say it. */
export const version = typeof PGARK_VERSION === "string" ? PGARK_VERSION : "development";
