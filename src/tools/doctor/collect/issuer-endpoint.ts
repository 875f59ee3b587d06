import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { IssuerConfig } from '../../../core/config/issuer.ts';
import type { IssuerEndpoint } from '../remit/remit-facts.ts';

const TIMEOUT_MS = 5_000;

/** Shakes hands with the issuer of a configuration, as a client would. `null` if its port is chosen at the start. */
export function issuerEndpoint({ listen, url }: IssuerConfig): Promise<IssuerEndpoint | null> {
  if (listen.kind !== 'tcp' || listen.port === 0) return Promise.resolve(null);
  const host = listen.host === '0.0.0.0' || listen.host === '::' ? 'localhost' : listen.host;
  const name = URL.parse(url)?.hostname ?? '';
  const address = `${listen.host}:${listen.port}`;
  const none = { address, name, names: null, notAfterMs: null };
  return new Promise((resolve) => {
    // It only looks at the certificate: nothing is sent, so nobody need be trusted.
    const servername = isIP(name) === 0 ? { servername: name } : {};
    const socket = connect({ host, port: listen.port, ...servername, rejectUnauthorized: false });
    const settle = (answer: IssuerEndpoint): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(TIMEOUT_MS, () => settle({ ...none, failure: 'no answer' }));
    socket.once('error', (error: NodeJS.ErrnoException) => settle({ ...none, failure: error.code ?? error.message }));
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      const checked = isIP(name) === 0 ? certificate?.checkHost(name) : certificate?.checkIP(name);
      const isNamed = checked !== undefined;
      settle({
        ...none,
        failure: null,
        names: isNamed ? null : (certificate?.subjectAltName ?? 'no name'),
        notAfterMs: certificate?.validToDate.getTime() ?? null,
      });
    });
  });
}
