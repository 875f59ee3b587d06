import { once } from 'node:events';
import { Agent, request as httpsRequest } from 'node:https';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import type { IssuedCertificate } from '../../../src/dev/authority.ts';
import { audience, type Bench, details, formHeaders } from '../bench.ts';

/** A connection that says nothing, once its handshake is over; the caller ends it. */
export async function idle({ port, authority }: Bench, as: IssuedCertificate): Promise<TLSSocket> {
  const { bundlePem: ca } = authority;
  const options = { host: '127.0.0.1', port, ca, servername: 'issuer.acme.test', cert: as.certPem, key: as.keyPem };
  const socket = connect(options);
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  // Until it is cut: the end of a stream that nobody reads is not seen.
  socket.resume();
  return socket;
}

const tokenForm = new URLSearchParams({
  grant_type: 'client_credentials',
  resource: audience,
  authorization_details: details(),
}).toString();

/** A request for a token as it is written to a connection. */
export const tokenRequest =
  'POST /oauth/token HTTP/1.1\r\nhost: issuer.acme.test\r\ncontent-type: application/x-www-form-urlencoded\r\n' +
  `content-length: ${Buffer.byteLength(tokenForm)}\r\n\r\n${tokenForm}`;

/** Asks for tokens over so many connections, each again once it was answered, until `stop`: how it was answered, by status. */
export function flood({ port, authority }: Bench, as: IssuedCertificate, connections: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const { bundlePem: ca } = authority;
  const options = { host: '127.0.0.1', port, ca, servername: 'issuer.acme.test', cert: as.certPem, key: as.keyPem };
  const answers = new Map<number, number>();
  const over = new AbortController();
  const ask = (): Promise<void> =>
    new Promise((settle) => {
      const sent = httpsRequest(
        { ...options, agent, path: '/oauth/token', method: 'POST', headers: formHeaders },
        (response) => {
          const status = response.statusCode ?? 0;
          answers.set(status, (answers.get(status) ?? 0) + 1);
          response.resume();
          response.on('close', settle);
        },
      );
      sent.on('error', () => settle());
      sent.end(tokenForm);
    });
  const loop = async (): Promise<void> => {
    while (!over.signal.aborted) await ask();
  };
  const ended = Promise.all(Array.from({ length: connections }, loop));
  const stop = async (): Promise<ReadonlyMap<number, number>> => {
    over.abort();
    agent.destroy();
    await ended;
    return answers;
  };
  return { answers, stop };
}
