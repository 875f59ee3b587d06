// A tool server that answers any call with what it was asked. It trusts its callers, since Envoy and Remit are in front of it.
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(`${JSON.stringify({ method: request.method, path: request.url })}\n`);
});
// Longer than Envoy keeps an idle connection: otherwise a call that is sent just as the server closes one is lost.
server.keepAliveTimeout = 3_700_000;
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('the tool server listens'));
process.on('SIGTERM', () => process.exit());
