import { experimental } from '@grpc/grpc-js';
import type { ServerCredentials } from '@grpc/grpc-js';
import { tlsMaterialOf } from './svid.ts';
import type { Svid, SvidSource } from './svid.ts';

/** Credentials of a gRPC server. `stop` ends the renewal of its SVID. */
export interface SvidCredentials {
  readonly credentials: ServerCredentials;
  readonly stop: () => void;
}

/**
 * Mutual TLS (1.2 or later) with the current SVID. Clients must have a certificate of the same trust domain. A renewed SVID is used for new
 * connections, and open connections stay. `null` if there is no valid SVID.
 */
export function svidCredentials(source: SvidSource): SvidCredentials | null {
  const first = source.current();
  if (first === null) return null;
  const provider = new SvidProvider(first);
  const stop = source.onChange((renewed) => provider.renew(renewed));
  return { credentials: experimental.createCertificateProviderServerCredentials(provider, provider, true), stop };
}

type Provider = Parameters<typeof experimental.createCertificateProviderServerCredentials>[0];
type CaListener = Parameters<Provider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<Provider['addIdentityCertificateListener']>[0];

/** Sets the server's certificate, and the bundle of its own trust domain. */
class SvidProvider implements Provider {
  #svid: Svid;
  readonly #ca = new Set<CaListener>();
  readonly #identity = new Set<IdentityListener>();

  constructor(svid: Svid) {
    this.#svid = svid;
  }

  renew(svid: Svid): void {
    this.#svid = svid;
    for (const listener of this.#ca) this.#tellCa(listener);
    for (const listener of this.#identity) this.#tellIdentity(listener);
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#ca.add(listener);
    // The server listens once this has returned.
    queueMicrotask(() => this.#tellCa(listener));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#ca.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identity.add(listener);
    queueMicrotask(() => this.#tellIdentity(listener));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identity.delete(listener);
  }

  #tellCa(listener: CaListener): void {
    listener({ caCertificate: Buffer.from(tlsMaterialOf(this.#svid).bundle) });
  }

  #tellIdentity(listener: IdentityListener): void {
    const { certificate, key } = tlsMaterialOf(this.#svid);
    listener({ certificate: Buffer.from(certificate), privateKey: Buffer.from(key) });
  }
}
