// An agent in a mesh, which calls in clear: its own Envoy makes mutual TLS of it. It makes the calls of CALLS, a list as JSON, with the token of
// `remit run`, or that of TOKEN (as base64), or by REMIT_FORWARD_TOOLS, which adds it, and prints what came of each; with WHY the whole of an answer.
// With HOLD it prints its token then, and goes on until SIGTERM.
const { CALLS, HOLD, WHY, REMIT_FORWARD_TOOLS, REMIT_TOKEN_URL, REMIT_TOKEN_URL_AUTH, TOKEN } = process.env;
const TOOLS = REMIT_FORWARD_TOOLS ?? process.env.TOOLS;

async function ownToken() {
  const answer = await fetch(REMIT_TOKEN_URL, { headers: { authorization: `Bearer ${REMIT_TOKEN_URL_AUTH}` } });
  return (await answer.json()).access_token;
}

const token = TOKEN !== undefined ? Buffer.from(TOKEN, 'base64').toString() : REMIT_TOKEN_URL ? await ownToken() : '';
for (const { body, headers = {}, hasToken = true, method, path, what } of JSON.parse(CALLS)) {
  const content = body === undefined ? {} : { 'content-type': 'application/json' };
  const authorization = hasToken ? { authorization: `Bearer ${token}` } : {};
  const [status, text] = await fetch(`${TOOLS}${path}`, {
    method,
    body,
    headers: { ...content, ...authorization, ...headers },
  }).then(
    async (response) => [response.status, await response.text()],
    (error) => [0, String(error.cause ?? error)],
  );
  const reason = /"reason":"([^"]+)"/.exec(text)?.[1];
  console.log(
    `CALL ${JSON.stringify({ what, status, ...(reason === undefined || WHY ? { text: text.trim() } : { reason }) })}`,
  );
}
if (HOLD !== undefined) {
  console.log(`TOKEN ${Buffer.from(token).toString('base64')}`);
  process.on('SIGTERM', () => process.exit());
  setInterval(() => {}, 1_000);
}
