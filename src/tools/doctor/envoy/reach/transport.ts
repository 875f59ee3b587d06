import { at, fieldsOf, typeOf } from '../../tree.ts';

/** A transport socket without what wraps it. */
export interface Transport {
  /** The last part of its type; empty for none, which is plaintext. */
  readonly type: string;
  /** The fields of its TLS context; `null` if it has none. */
  readonly tls: unknown;
  readonly isQuic: boolean;
  readonly fields: unknown;
}

const MAX_WRAPS = 5;
const PLAIN: ReadonlySet<string> = new Set(['', 'RawBuffer']);
const CONTEXTS: ReadonlySet<string> = new Set(['DownstreamTlsContext', 'UpstreamTlsContext']);

/** Reads the `Any` of a transport socket; if it only wraps another socket (to copy, count or prefix its bytes), reads that socket. */
export function transportFrom(any: unknown, depth = 0): Transport {
  const fields = fieldsOf(any);
  const inner = at(fields, 'transport_socket', 'typed_config');
  if (inner !== undefined && depth < MAX_WRAPS) return transportFrom(inner, depth + 1);
  const type = typeOf(any);
  const isQuic = type === 'QuicDownstreamTransport';
  const tls = isQuic ? (at(fields, 'downstream_tls_context') ?? null) : CONTEXTS.has(type) ? fields : null;
  return { type, tls, isQuic, fields };
}

/** Whether a transport is without any protection. */
export const isPlain = ({ type }: Transport): boolean => PLAIN.has(type);
