// What the providers' own libraries say of webhooks: `node sdks.mjs FOLDER`, where FOLDER holds node_modules with them. Reads a
// JSON object a line and writes one a line, in order.
//
// {"ask": "sign", "provider", "secret", "url", "body_base64", "media_type"?, "now_unix"?, "id"?}
//   -> {"url", "method", "headers", "body_base64"}: the request as the provider sends it. Signed by the library where it can;
//      square, @shopify/shopify-api and intuit-oauth only verify, so for those Node.js signs by the provider's documentation.
// {"ask": "verify", "provider", "secret", "url", "method", "headers", "body_base64", "now_unix"}
//   -> {"ok"}: whether the library accepts it; null for quickbooks, for which there is none.
// {"ask": "callback_mac", "secret", "query": [[name, value]]}
//   -> {"hmac"}: what Shopify signs these parameters with when it sends a browser back; by Node.js, for the library only verifies.
// {"ask": "callback", "secret", "query", "now_unix"}
//   -> {"ok"}: whether @shopify/shopify-api accepts them.
import { createHmac, randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { parse } from "node:querystring";

const [folder] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const stripe = require("stripe")("sk_test_none");
const twilio = require("twilio");
const { WebhooksHelper } = require("square");
const { Webhook } = require("standardwebhooks");
require("@shopify/shopify-api/adapters/node");
const { shopifyApi, ApiVersion, LogSeverity } = require("@shopify/shopify-api");

const FORM = "application/x-www-form-urlencoded";
const base64 = (key, ...parts) => {
  const mac = createHmac("sha256", key);
  for (const part of parts) mac.update(part);
  return mac.digest("base64");
};
const shopifyOf = (secret) =>
  shopifyApi({
    apiKey: "key", apiSecretKey: secret, hostName: "acme.example.test", scopes: [], isEmbeddedApp: false,
    apiVersion: ApiVersion.October25, logger: { level: LogSeverity.Error, log: () => {} },
  });
const header = (headers, name) =>
  Object.entries(headers).find(([known]) => known.toLowerCase() === name.toLowerCase())?.[1];

// Each takes the question and its body as bytes.
const signs = {
  stripe: ({ secret, now_unix }, body) => ({
    "Stripe-Signature": stripe.webhooks.generateTestHeaderString({
      payload: body.toString(), secret, timestamp: now_unix,
    }),
  }),
  twilio: ({ secret, url, media_type = FORM }, body) => {
    if (media_type.startsWith(FORM)) {
      return { "X-Twilio-Signature": twilio.getExpectedTwilioSignature(secret, url, parse(body.toString())) };
    }
    const hash = twilio.getExpectedBodyHash(body.toString());
    const signed = `${url}${url.includes("?") ? "&" : "?"}bodySHA256=${hash}`;
    return { url: signed, "X-Twilio-Signature": twilio.getExpectedTwilioSignature(secret, signed, {}) };
  },
  quickbooks: ({ secret }, body) => ({ "intuit-signature": base64(secret, body) }),
  shopify: ({ secret, id = randomUUID() }, body) => ({
    "X-Shopify-Topic": "orders/create",
    "X-Shopify-Shop-Domain": "shop-1.myshopify.com",
    "X-Shopify-API-Version": "2025-10",
    "X-Shopify-Webhook-Id": id,
    "X-Shopify-Event-Id": randomUUID(),
    "X-Shopify-Triggered-At": new Date().toISOString(),
    "X-Shopify-Hmac-Sha256": base64(secret, body),
  }),
  square: ({ secret, url }, body) => ({ "x-square-hmacsha256-signature": base64(secret, url, body) }),
};

const verifies = {
  stripe: ({ secret, headers, now_unix }, body) => {
    const signature = header(headers, "Stripe-Signature");
    return Boolean(stripe.webhooks.signature.verifyHeader(body, signature, secret, 300, undefined, now_unix * 1000));
  },
  twilio: ({ secret, url, headers }, body) => {
    const signature = header(headers, "X-Twilio-Signature");
    const isForm = header(headers, "Content-Type")?.startsWith(FORM);
    return isForm
      ? twilio.validateRequest(secret, signature, url, parse(body.toString()))
      : twilio.validateRequestWithBody(secret, signature, url, body.toString());
  },
  quickbooks: () => null,
  shopify: async ({ secret, headers, method, url }, body) => {
    const rawRequest = { method, url: new URL(url).pathname, headers };
    const { valid } = await shopifyOf(secret).webhooks.validate({ rawBody: body.toString(), rawRequest, rawResponse: {} });
    return valid;
  },
  square: ({ secret, url, headers }, body) =>
    WebhooksHelper.verifySignature({
      requestBody: body.toString(),
      signatureHeader: header(headers, "x-square-hmacsha256-signature") ?? "",
      signatureKey: secret,
      notificationUrl: url,
    }),
};

// Not of a provider: what receivers verify our own webhooks with. It throws what it does not accept.
verifies.standard = ({ secret, headers }, body) => Boolean(new Webhook(secret).verify(body.toString(), headers));

const callbackMac = ({ secret, query }) => {
  const sorted = [...query].sort(([one], [other]) => (one < other ? -1 : 1));
  return createHmac("sha256", secret).update(new URLSearchParams(sorted).toString()).digest("hex");
};

const callback = async ({ secret, query, now_unix }) => {
  const now = Date.now;
  Date.now = () => now_unix * 1000; // the library asks nobody else
  try {
    return await shopifyOf(secret).utils.validateHmac(Object.fromEntries(query));
  } catch {
    return false; // unsigned, or of another time
  } finally {
    Date.now = now;
  }
};

const answer = async (question) => {
  if (question.ask === "callback_mac") return { hmac: callbackMac(question) };
  if (question.ask === "callback") return { ok: await callback(question) };
  const body = Buffer.from(question.body_base64, "base64");
  if (question.ask === "sign") {
    const { url = question.url, ...headers } = signs[question.provider](question, body);
    const media_type = question.media_type ?? (question.provider === "twilio" ? FORM : "application/json");
    return {
      url, method: "POST", headers: { "Content-Type": media_type, ...headers }, body_base64: question.body_base64,
    };
  }
  try {
    return { ok: await verifies[question.provider](question, body) };
  } catch {
    return { ok: false }; // how most of them refuse
  }
};

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
