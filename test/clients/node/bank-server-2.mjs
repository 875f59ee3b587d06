import { createServer } from 'node:http';
import { createMcpHandler, inputRequired, Server } from '@modelcontextprotocol/server';

/** Reports what happens, a line of JSON each. */
const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const INPUT = { type: 'object', properties: { amount: { type: 'integer' } } };
const QUESTION = {
  message: 'How much?',
  requestedSchema: { type: 'object', properties: { amount: { type: 'integer' } }, required: ['amount'] },
};

/** A bank that pays what a person answers, or the argument without an answer. */
function bank() {
  const server = new Server({ name: 'bank', version: '1.0.0' }, { capabilities: { tools: {} } });
  server.setRequestHandler('tools/list', () => ({
    tools: ['pay', 'transfer'].map((name) => ({ name, inputSchema: INPUT })),
  }));
  server.setRequestHandler('tools/call', ({ params }, { mcpReq }) => {
    const responses = mcpReq.inputResponses;
    const state = mcpReq.requestState();
    if (responses === undefined && state === undefined && params.name === 'transfer')
      return inputRequired({ inputRequests: { limit: inputRequired.elicit(QUESTION) } });
    const [answer] = Object.values(responses ?? {});
    const amount = answer?.content?.amount ?? params.arguments?.amount;
    tell({ paid: amount, state });
    return { content: [{ type: 'text', text: `paid ${amount}` }] };
  });
  return server;
}

const handler = createMcpHandler(bank);
async function serve(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  tell({ received: body.toString() });
  const init = { method: request.method, headers: request.headers, ...(body.length === 0 ? {} : { body }) };
  const answer = await handler.fetch(new Request(`http://127.0.0.1${request.url}`, init));
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  response.end(Buffer.from(await answer.arrayBuffer()));
}

const http = createServer((request, response) => void serve(request, response));
http.listen(0, '127.0.0.1', () => tell({ port: http.address().port }));
