// An agent that knows nothing of Remit but where its token and its certificate are.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

const { REMIT_TOKEN_URL, REMIT_TOKEN_URL_AUTH, REMIT_SVID, REMIT_BUNDLE, TOOLS_HOST, ENVOY_PORT } = process.env;

async function token() {
  const answer = await fetch(REMIT_TOKEN_URL, { headers: { authorization: `Bearer ${REMIT_TOKEN_URL_AUTH}` } });
  return (await answer.json()).access_token;
}

async function call(method, path, body) {
  const svid = readFileSync(REMIT_SVID);
  const asked = request({
    method,
    path,
    host: '127.0.0.1',
    port: Number(ENVOY_PORT),
    servername: TOOLS_HOST,
    cert: svid,
    key: svid,
    ca: readFileSync(REMIT_BUNDLE),
    headers: {
      host: TOOLS_HOST,
      authorization: `Bearer ${await token()}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
  });
  asked.end(body);
  const [response] = await once(asked, 'response');
  const answer = await text(response);
  return { status: response.statusCode, answer: answer.trim() };
}

/** Envoy may still be starting: a call that finds nobody, or no decision, is tried again. */
async function patiently(...words) {
  for (let attempt = 1; ; attempt += 1) {
    const result = await call(...words).catch((error) => ({ status: 503, answer: String(error) }));
    if (result.status !== 503 || attempt === 60) return result;
    await delay(1_000);
  }
}

const allowed = await patiently('GET', '/');
console.log(`GET /: ${allowed.status} ${allowed.answer}`);
const denied = await patiently('POST', '/items', '{"amount":500}');
console.log(`POST /items: ${denied.status} ${denied.answer}`);
process.exit(allowed.status === 200 && denied.status === 403 ? 0 : 1);
