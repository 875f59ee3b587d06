/** A call of a tool as an agent makes it. */
export interface RecordedCall {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Names in lower case, without pseudo-headers. */
  readonly headers: Readonly<Record<string, string>>;
  /** `null` for none. */
  readonly body: string | null;
}

/** Who makes it, as the host has verified. */
export interface RecordedPeer {
  readonly id: string;
  /** PEM of its leaf. */
  readonly certPem: string;
  /** SPIFFE ID of the host's proxy. */
  readonly proxyId: string;
}

/** The CheckRequest that a host makes of a call: the shape that its source gives it. */
export type Shape = (call: RecordedCall, peer: RecordedPeer) => object;

/** Pseudo-headers, as Envoy and agentgateway put them among the others. */
export const pseudoHeaders = ({ method, path }: RecordedCall): Readonly<Record<string, string>> => ({
  ':method': method,
  ':path': path,
  ':authority': 'payments.acme.test',
  ':scheme': 'https',
});

/** An address of a connection. */
export const address = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });

/** The header with the length of a body. */
export const lengthOf = ({ body }: RecordedCall): Readonly<Record<string, string>> =>
  body === null ? {} : { 'content-length': String(Buffer.byteLength(body)) };
