// Chromium on our pages: `node browser.mjs FOLDER`, where FOLDER holds node_modules. Reads what to do as JSON:
//   {chromium, port, cert, key, domain, pages: [url], forms: [{url, fields, done}], start, injected}
// and prints what came of it:
//   {complaints: {url: [text]}, forms: [text], home: {url, refreshed}, injected: {ran, refused: [directive], reported: status}}
//
// `pages` are opened; `forms` are filled in and sent, until the page says `done`; a sign-in at a provider begins at `start`.
// Then `injected` is opened through a proxy that puts scripts into the page and passes everything else on as it came.
import { X509Certificate, createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, request } from "node:https";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const { chromium } = createRequire(`${process.argv[2]}/`)("playwright-core");
const task = JSON.parse(await text(process.stdin));
const [cert, key] = [task.cert, task.key].map((path) => readFileSync(path));
const pin = createHash("sha256")
  .update(new X509Certificate(cert).publicKey.export({ type: "spki", format: "der" }))
  .digest("base64");

/** A browser for which every host of the domain is at this port. */
const launch = (port) =>
  chromium.launch({
    executablePath: task.chromium,
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--short-reporting-delay",
      `--host-resolver-rules=MAP ${task.domain} 127.0.0.1:${port}, MAP *.${task.domain} 127.0.0.1:${port}`,
      `--ignore-certificate-errors-spki-list=${pin}`,
    ],
  });

/** A tab, and what it has to say against what it shows. */
const open = async (browser) => {
  const page = await (await browser.newContext()).newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.location().url}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("requestfailed", (failed) => complaints.push(`${failed.url()}: ${failed.failure().errorText}`));
  await page.addInitScript(() => {
    globalThis.refused = [];
    addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
  });
  return [page, complaints];
};

const result = { complaints: {}, forms: [] };
const direct = await launch(task.port);
for (const url of task.pages) {
  const [page, complaints] = await open(direct);
  const answer = await page.goto(url, { waitUntil: "networkidle" });
  if (answer.status() !== 200) complaints.push(`status ${answer.status()}`);
  if ((await page.evaluate(() => getComputedStyle(document.body).maxWidth)) === "none") complaints.push("no style");
  complaints.push(...(await page.evaluate(() => refused)));
  result.complaints[url] = complaints;
}
for (const { url, fields, done } of task.forms) {
  const [page, complaints] = await open(direct);
  await page.goto(url);
  for (const [name, value] of Object.entries(fields)) await page.fill(`[name=${name}]`, value);
  await page.click("button");
  await page.waitForFunction(() => document.querySelector("output").textContent);
  result.forms.push(await page.textContent("output"));
  if (page.url().includes("#")) complaints.push("the token is still in the address");
  if (complaints.length) result.complaints[url] = complaints;
}
const [page, complaints] = await open(direct);
await page.goto(task.start);
await page.waitForURL((url) => url.pathname === "/" && url.hostname.endsWith(task.domain));
const refreshed = await page.evaluate(async () => {
  const answer = await fetch("/v1/auth/refresh", {
    method: "POST", headers: { "content-type": "application/json" }, body: "{}",
  });
  return answer.status;
});
result.home = { url: page.url(), refreshed };
result.complaints[task.start] = complaints;
await direct.close();

let earlier; // the nonce of a page that was sent before
let reported;
const report = new Promise((arrived) => { reported = arrived; });
const proxy = createServer({ cert, key }, (asked, answer) => {
  const { method, url, headers } = asked;
  const to = { host: "127.0.0.1", port: task.port, servername: headers.host, rejectUnauthorized: false };
  const passed = request({ ...to, method, path: url, headers }, async (given) => {
    if (!given.headers["content-type"]?.startsWith("text/html")) {
      if (url === "/csp-report") reported(given.statusCode);
      answer.writeHead(given.statusCode, given.rawHeaders);
      return given.pipe(answer);
    }
    const html = await text(given);
    const scripts =
      "<script>globalThis.ran = 'inline'</script><img src='data:,' onerror=\"globalThis.ran = 'an attribute'\">" +
      `<script nonce="${earlier}">globalThis.ran = 'with the nonce of another answer'</script>` +
      "<script src='/openapi.json'></script><script src='https://evil.test/x.js'></script>";
    earlier = html.match(/nonce="([^"]+)"/)[1];
    const { "content-length": _, ...kept } = given.headers;
    answer.writeHead(given.statusCode, kept);
    answer.end(html.replace("</main>", `${scripts}</main>`));
  });
  asked.pipe(passed);
});
await new Promise((listening) => proxy.listen(0, "127.0.0.1", listening));
const injected = await launch(proxy.address().port);
const [victim] = await open(injected);
await victim.goto(task.injected);
await victim.goto(task.injected, { waitUntil: "networkidle" });
const ran = await victim.evaluate(() => ({ ran: globalThis.ran ?? null, refused }));
result.injected = { ...ran, reported: await report };
await injected.close();
proxy.close();
process.stdout.write(JSON.stringify(result));
