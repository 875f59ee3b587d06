// A tool server of a batch job: it answers one call, and ends with 0.
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(`${JSON.stringify({ method: request.method, path: request.url })}\n`, () => process.exit());
});
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('the tool server listens'));
process.on('SIGTERM', () => process.exit(1));
