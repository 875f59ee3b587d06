// The tool server of a mesh in a network of its own: in clear at port 80, by TLS at port 8443. It prints what arrives, a line of JSON each.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { IncomingMessage, ServerResponse } from 'node:http';

const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);
const [, , certificate = '', key = ''] = process.argv;

const tls = createSecureServer(
  { cert: readFileSync(certificate), key: readFileSync(key), allowHTTP1: true },
  (request, response) => {
    say({ over: 'tls', authorization: request.headers.authorization ?? null });
    (response as unknown as ServerResponse).end('ok');
  },
);
const clear = createServer((request: IncomingMessage, response: ServerResponse) => {
  say({ over: 'clear', authorization: request.headers.authorization ?? null });
  response.end('ok');
});
clear.on('connection', (socket) => socket.once('data', (bytes: Buffer) => say({ over: 'clear', bytes: bytes.length })));
// The address arrives with the interface.
process.stdin.once('data', () => {
  clear.listen(80, '0.0.0.0', () => tls.listen(8443, '0.0.0.0', () => say({ over: 'ready' })));
});
