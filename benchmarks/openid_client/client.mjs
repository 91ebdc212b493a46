// An app on somebody's own machine, written on openid-client: `node client.mjs ISSUER CLIENT_ID SCOPE`.
// It prints the address to send a browser to, a line, and what it was told, as JSON.
import { createServer } from "node:http";
import * as oidc from "openid-client";

const [issuer, clientId, scope] = process.argv.slice(2);
const options = issuer.startsWith("http:") ? { execute: [oidc.allowInsecureRequests] } : {};
const server = await oidc.discovery(new URL(issuer), clientId, undefined, oidc.None(), options);

const verifier = oidc.randomPKCECodeVerifier();
const state = oidc.randomState();
const nonce = oidc.randomNonce();

async function answered(request, response) {
  const address = new URL(request.url, `http://${request.headers.host}`);
  response.end("Go on there.");
  listener.close();
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce };
  const tokens = await oidc.authorizationCodeGrant(server, address, checks);
  const refreshed = await oidc.refreshTokenGrant(server, tokens.refresh_token);
  await oidc.tokenRevocation(server, refreshed.refresh_token);
  const after = await oidc.refreshTokenGrant(server, refreshed.refresh_token).catch((error) => error.error);
  console.log(JSON.stringify({ claims: tokens.claims(), scope: tokens.scope, refreshed: refreshed.scope, after }));
}

const listener = createServer((request, response) => {
  answered(request, response).catch((error) => {
    console.log(JSON.stringify({ error: String(error), cause: String(error.cause) }));
  });
});
listener.listen(0, "127.0.0.1", async () => {
  const asked = {
    redirect_uri: `http://127.0.0.1:${listener.address().port}/cb`,
    scope,
    state,
    nonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  };
  console.log(oidc.buildAuthorizationUrl(server, asked).href);
});
