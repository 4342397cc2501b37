/**
 * What `--dbname` says, as libpq's programs read it: a URI or `keyword=value` pairs are a connection string, all else is the
 * name of a database.
 */
export function connectionString(dbname: string | undefined): { readonly connectionString?: string } {
  if (dbname === undefined) return {};
  if (/^postgres(ql)?:\/\//.test(dbname) || dbname.includes("=")) return { connectionString: dbname };
  return { connectionString: `dbname='${dbname.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'` };
}
