// A real OpenID provider for the tests, on a free port of loopback: `node provider.mjs FOLDER REDIRECT_URI`, where FOLDER
// holds node_modules with oidc-provider. Says `{"port": …}` when it listens, and ends with its stdin.
//
// Whoever comes is signed in as the account that was last put to /test/account, or refuses if that says so.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, redirectUri] = process.argv.slice(2);
const entry = createRequire(`${folder}/`).resolve("oidc-provider");
console.log = console.info = console.warn = () => {}; // stdout is for the port alone
const { default: Provider } = await import(pathToFileURL(entry));

const accounts = new Map();
let account;
const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });

const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const { port } = server.address();
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: "freehold",
    client_secret: "cAnArY-client-secret",
    redirect_uris: [redirectUri],
    grant_types: ["authorization_code"],
    response_types: ["code"],
    token_endpoint_auth_method: "client_secret_post",
  }],
  jwks: { keys: [{ ...key, kid: randomUUID(), use: "sig", alg: "RS256" }] },
  cookies: { keys: [randomUUID()] },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "hd"] },
  conformIdTokenClaims: false, // Google puts them into the id token, too
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => accounts.get(sub) }),
});

const body = async (request) => {
  let text = "";
  for await (const chunk of request) text += chunk;
  return JSON.parse(text);
};

const interact = async (request, response) => {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (account.denies) {
    return provider.interactionFinished(request, response, { error: "access_denied" });
  }
  if (prompt.name === "login") {
    return provider.interactionFinished(request, response, { login: { accountId: account.sub } });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
};

const others = provider.callback();
server.on("request", async (request, response) => {
  try {
    if (request.url === "/test/account") {
      account = await body(request);
      accounts.set(account.sub, account);
      response.writeHead(204).end();
    } else if (request.url.startsWith("/interaction/")) {
      await interact(request, response);
    } else {
      others(request, response);
    }
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});
process.stdout.write(`${JSON.stringify({ port })}\n`);
process.stdin.on("end", () => process.exit(0)).resume();
