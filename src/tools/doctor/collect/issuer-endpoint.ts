import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { IssuerConfig } from '../../../core/config/issuer.ts';
import { after } from '../../../core/runtime/timers.ts';
import type { IssuerEndpoint } from '../remit/remit-facts.ts';

/** Time for the whole handshake, however slowly its bytes come. */
const TIMEOUT_MS = 5_000;

/**
 * Names as OAuth clients take them: the common name counts for nothing, and `*` is a whole label.
 *
 * @see RFC 9525 sections 2 and 6.3
 */
const AS_CLIENTS = { subject: 'never', partialWildcards: false } as const;

/** Shakes hands with the issuer of a configuration, as a client would. `null` if its port is chosen at the start. */
export function issuerEndpoint(
  { listen, url }: Pick<IssuerConfig, 'listen' | 'url'>,
  timeoutMs = TIMEOUT_MS,
): Promise<IssuerEndpoint | null> {
  if (listen.kind !== 'tcp' || listen.port === 0) return Promise.resolve(null);
  const host = listen.host === '0.0.0.0' || listen.host === '::' ? 'localhost' : listen.host;
  const name = nameIn(url);
  const address = `${listen.host}:${listen.port}`;
  const none = { address, name, names: null, notBeforeMs: null, notAfterMs: null };
  return new Promise((resolve) => {
    // It only looks at the certificate: nothing is sent, so nobody need be trusted.
    const servername = isIP(name) === 0 ? { servername: name } : {};
    const socket = connect({ host, port: listen.port, ...servername, rejectUnauthorized: false });
    const settle = (answer: IssuerEndpoint): void => {
      stop();
      socket.destroy();
      resolve(answer);
    };
    const stop = after(timeoutMs, () => settle({ ...none, failure: 'no answer' }));
    socket.once('error', (error: NodeJS.ErrnoException) => settle({ ...none, failure: error.code ?? error.message }));
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      const checked = isIP(name) === 0 ? certificate?.checkHost(name, AS_CLIENTS) : certificate?.checkIP(name);
      const isNamed = checked !== undefined;
      settle({
        ...none,
        failure: null,
        names: isNamed ? null : (certificate?.subjectAltName ?? 'no name'),
        notBeforeMs: certificate?.validFromDate.getTime() ?? null,
        notAfterMs: certificate?.validToDate.getTime() ?? null,
      });
    });
  });
}

/** The host of a URL; an IPv6 address without its brackets. */
const nameIn = (url: string): string => (URL.parse(url)?.hostname ?? '').replace(/^\[(.*)\]$/, '$1');
