// What the HTTP Observatory says of a page on loopback: `node observatory.mjs FOLDER PAGE TLS_PORT PLAIN_PORT`, where FOLDER
// holds node_modules, and PAGE is a host with or without a path. Prints the scan's own result.
//
// The scan is run whole and makes its own requests, by TLS that it verifies and without, to ports 443 and 80 of the host.
// Only where a socket leads is changed, since no name of ours is to be resolved. The list of preloaded hosts, which the
// package downloads when it is installed, is empty: nothing of ours is on it.
import { existsSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Socket } from "node:net";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, page, tls, plain] = process.argv.slice(2);
const ports = { 443: Number(tls), 80: Number(plain) };
const connect = Socket.prototype.connect;
Socket.prototype.connect = function (...args) {
  const [options, connected] = Array.isArray(args[0]) ? args[0] : args;
  if (!(options.port in ports)) throw new Error(`a socket to ${options.host}:${options.port}`);
  return connect.call(this, { ...options, host: "127.0.0.1", port: ports[options.port] }, connected);
};

const entry = createRequire(`${folder}/`).resolve("@mdn/mdn-http-observatory");
const preloaded = join(dirname(entry), "..", "conf", "hsts-preload.json");
if (!existsSync(preloaded)) writeFileSync(preloaded, "{}");
const { scan } = await import(pathToFileURL(entry));
process.stdout.write(JSON.stringify(await scan(page)));
