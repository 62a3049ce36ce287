// Makes the calls that it is told to with Stripe's official library: `node stripe.mjs FOLDER PORT KEY CALLS`, where FOLDER holds
// node_modules with it, PORT is where a Stripe listens on this machine, and CALLS is a list of [method, ...arguments]. What is answered
// to one is not looked at, but for there being an answer: a refusal is one.
import { createRequire } from "node:module";

const [folder, port, key, calls] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const stripe = require("stripe")(key, { host: "127.0.0.1", port, protocol: "http", maxNetworkRetries: 0, telemetry: false });

for (const [method, ...given] of JSON.parse(calls)) {
  const path = method.split(".");
  const verb = path.pop();
  const resource = path.reduce((at, name) => at[name], stripe);
  try {
    await resource[verb](...given);
  } catch (error) {
    if (error.statusCode === undefined) throw error;
  }
}
