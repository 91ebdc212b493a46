// Asks the warehouse from Node.js: `node warehouse.mjs`, in this folder and after `npm ci`.
// SLUICE_SQL_HOST is host:port of the TLS front, SLUICE_SQL_TOKEN your token, SLUICE_SQL_CA a PEM file of whoever
// signed its certificate, if the machine does not trust them.
import { DuckDBInstance } from "@duckdb/node-api";

const { SLUICE_SQL_HOST, SLUICE_SQL_TOKEN, SLUICE_SQL_CA } = process.env;
const place = `quack:${SLUICE_SQL_HOST}`;
const quoted = (text) => `'${text.replaceAll("'", "''")}'`;

const instance = await DuckDBInstance.create();
const connection = await instance.connect();
for (const name of ["httpfs", "quack"]) await connection.run(`INSTALL ${name}; LOAD ${name}`);
if (SLUICE_SQL_CA) await connection.run(`SET ca_cert_file = ${quoted(SLUICE_SQL_CA)}`);
// The scope keeps the token from every other server that is asked.
await connection.run(`CREATE SECRET (TYPE quack, TOKEN ${quoted(SLUICE_SQL_TOKEN)}, SCOPE ${quoted(place)})`);

async function ask(statement) {
  const reader = await connection.runAndReadAll("FROM quack_query($place, $statement)", { place, statement });
  return reader.getRowObjectsJson();
}

const rows = await ask("SELECT currency, count(*) AS payments FROM payments GROUP BY ALL ORDER BY ALL");
console.log(JSON.stringify(rows));
connection.closeSync();
