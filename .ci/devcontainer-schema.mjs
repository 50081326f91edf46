// Checks .devcontainer/devcontainer.json against the schema that the dev
// container specification publishes. It needs ajv, and a way to GitHub; without
// that it says so and is no check.
import fs from "node:fs";
import { createRequire } from "node:module";

const [modules, commit] = process.argv.slice(2);
const Ajv = createRequire(modules + "/")("ajv/dist/2019");
const url = `https://raw.githubusercontent.com/devcontainers/spec/${commit}/schemas/devContainer.base.schema.json`;

let schema;
try {
  const answer = await fetch(url, { signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  schema = await answer.json();
} catch (e) {
  console.log(`devcontainer.json is NOT checked against the published schema: ${url}: ${e.cause?.message ?? e.message}`);
  process.exit(0);
}
const text = fs.readFileSync(".devcontainer/devcontainer.json", "utf8").replace(/^\s*\/\/.*$/gm, "");
const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema);
if (!validate(JSON.parse(text))) {
  console.error(validate.errors);
  process.exit(1);
}
console.log("devcontainer.json is valid by the published schema");
