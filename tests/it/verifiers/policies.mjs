// What the CSP Evaluator finds in policies: `node policies.mjs FOLDER`, where FOLDER holds node_modules. Reads a JSON array of
// policies, and prints an array of what was found in each: `{strict, severity, type, directive}`, where `strict` tells the
// checks of its mode for strict policies from its usual ones.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(`${process.argv[2]}/`);
const { CspEvaluator, DEFAULT_CHECKS, STRICTCSP_CHECKS } = require("csp_evaluator");
const { CspParser } = require("csp_evaluator/dist/parser.js");
const { Severity, Type } = require("csp_evaluator/dist/finding.js");

const found = (policy, strict) => {
  const checks = strict ? STRICTCSP_CHECKS : DEFAULT_CHECKS;
  const findings = new CspEvaluator(new CspParser(policy).csp).evaluate(checks, checks);
  const said = ({ severity, type, directive }) => ({ strict, severity: Severity[severity], type: Type[type], directive });
  return findings.map(said);
};
const policies = JSON.parse(await text(process.stdin));
process.stdout.write(JSON.stringify(policies.map((policy) => [...found(policy, false), ...found(policy, true)])));
