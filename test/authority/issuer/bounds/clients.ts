import { once } from 'node:events';
import { Agent, request as httpsRequest } from 'node:https';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import type { IssuedCertificate } from '../../../../src/dev/authority.ts';
import { audience, type Bench, details, formHeaders } from '../bench.ts';

/** An idle connection after its handshake; the caller closes it. */
export async function idle({ port, authority }: Bench, as: IssuedCertificate): Promise<TLSSocket> {
  const { bundlePem: ca } = authority;
  const options = { host: '127.0.0.1', port, ca, servername: 'issuer.acme.test', cert: as.certPem, key: as.keyPem };
  const socket = connect(options);
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  // Read until it is cut: the end of an unread stream is not reported.
  socket.resume();
  return socket;
}

const formOf = (authorizationDetails: string): string =>
  new URLSearchParams({
    grant_type: 'client_credentials',
    resource: audience,
    authorization_details: authorizationDetails,
  }).toString();

const tokenForm = formOf(details());

/** The bytes of a token request. */
export const tokenRequest = requestOf(tokenForm);

/** A token request with this number of questions to the policies: one action with as many constraints. */
export const longTokenRequest = (questions: number): string => {
  const entries = Array.from({ length: questions }, (_, at) =>
    JSON.parse(details({ constraints: { max_calls: at + 1 } })),
  );
  return requestOf(formOf(JSON.stringify(entries.flat())));
};

function requestOf(form: string): string {
  const lines = [
    'POST /oauth/token HTTP/1.1',
    'host: issuer.acme.test',
    'content-type: application/x-www-form-urlencoded',
    `content-length: ${Buffer.byteLength(form)}`,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${form}`;
}

/** Requests tokens in a loop over this number of connections until `stop`; returns the number of replies by status. */
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
