// A tool server in a mesh: it listens on the pod's address, where Istio's Envoy calls it, and answers with what it was asked.
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  request.resume();
  response.setHeader('content-type', 'application/json');
  const { headers, method, url } = request;
  response.end(`${JSON.stringify({ method, path: url, caller: headers['x-forwarded-client-cert'] })}\n`);
});
server.listen(Number(process.env.PORT), '0.0.0.0', () => console.log('the tool server listens'));
process.on('SIGTERM', () => server.close(() => process.exit()));
