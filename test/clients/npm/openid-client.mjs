// openid-client: discovery, a token by scope, its renewal and a call.
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const { AGENT, BUNDLE, CLIENT, ENVOY, HOST_NAME, ISSUER, RESOURCE, SVID_CERT, SVID_KEY } = process.env;
const found = createRequire(join(CLIENT, 'package.json')).resolve('openid-client');
const client = await import(pathToFileURL(found).href);

const tls = { ca: readFileSync(BUNDLE), cert: readFileSync(SVID_CERT), key: readFileSync(SVID_KEY), agent: false };

/** `fetch` with the certificate of the agent. */
const fetchWithSvid = (url, { method, headers, body }) =>
  new Promise((resolve, reject) => {
    const sent = request(url, { method, headers: Object.fromEntries(new Headers(headers)), ...tls }, (got) => {
      const chunks = [];
      got.on('data', (chunk) => chunks.push(chunk));
      got.on('end', () => {
        const { date: _date, ...rest } = got.headers;
        resolve(new Response(Buffer.concat(chunks), { status: got.statusCode, headers: rest }));
      });
    });
    sent.on('error', reject);
    sent.end(body?.toString());
  });

const options = { algorithm: 'oauth2', [client.customFetch]: fetchWithSvid };
const config = await client.discovery(new URL(ISSUER), AGENT, undefined, client.TlsClientAuth(), options);
const first = await client.clientCredentialsGrant(config, { scope: 'payments.read', resource: RESOURCE });
const renewed = await client.refreshTokenGrant(config, first.refresh_token);
const headers = new Headers({ host: HOST_NAME });
const call = (token) =>
  client.fetchProtectedResource(config, token, new URL(`${ENVOY}/v1/payments/p-1`), 'GET', null, headers);
const statuses = [(await call(first.access_token)).status, (await call(renewed.access_token)).status];
const introspected = await client.tokenIntrospection(config, renewed.refresh_token);
const withSecret = await client.discovery(
  new URL(ISSUER),
  AGENT,
  's3cret',
  client.ClientSecretBasic('s3cret'),
  options,
);
const secret = await client.clientCredentialsGrant(withSecret, { scope: 'payments.read', resource: RESOURCE }).then(
  () => 'accepted',
  // A 401 with a challenge is an error of its own here.
  (error) => error.cause?.[0]?.scheme ?? error.error ?? String(error),
);
await client.tokenRevocation(config, renewed.refresh_token);
const revoked = await client.refreshTokenGrant(config, renewed.refresh_token).then(
  () => 'accepted',
  (error) => error.error,
);
process.stdout.write(
  JSON.stringify({
    first: { txn: first.txn },
    renewed: { txn: renewed.txn, same: first.access_token === renewed.access_token },
    statuses,
    introspected: introspected.active,
    secret,
    revoked,
  }),
);
