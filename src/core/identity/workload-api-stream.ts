import { Client, credentials, Metadata, status, type StatusObject } from '@grpc/grpc-js';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import { CHANNEL } from '../runtime/system/grpc-channel.ts';
import { productFile } from '../runtime/system/product-file.ts';

/** HTTP/2 path of the only method used. The standard's service has no package. */
export const FETCH_X509_SVID_PATH = '/SpiffeWorkloadAPI/FetchX509SVID';

/** Longest message read, in bytes: gRPC's default. */
export const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;

/** Longest server text repeated in a problem, in characters. */
const MAX_DETAIL_LENGTH = 200;

const folder = productFile('proto');
const definitions = loadSync('spiffe/workload/workload.proto', { keepCase: true, includeDirs: [folder] });

const messageNamed = (name: string): MessageTypeDefinition<object, object> => {
  const definition = definitions[name];
  if (definition === undefined || !('deserialize' in definition) || typeof definition.deserialize !== 'function') {
    throw new Error(`no message \`${name}\` in \`${folder}\``);
  }
  // Checked above: only a message type has `deserialize`.
  return definition as MessageTypeDefinition<object, object>;
};

const requestType = messageNamed('X509SVIDRequest');

/** The codec of an X509SVIDResponse. @see proto/spiffe/workload/workload.proto */
export const x509SvidResponseType = messageNamed('X509SVIDResponse');

/** How a stream ended. */
export interface StreamEnd {
  readonly problem: string;
  /** The server grants this workload no identity, which also withdraws an earlier identity. */
  readonly isDenied: boolean;
}

/** Listener of a stream. */
export interface StreamListener {
  readonly onResponse: (response: unknown) => void;
  /** Called at most once, as the last call: not if the caller closes the stream. */
  readonly onEnd: (end: StreamEnd) => void;
}

/** INVARIANT: metadata that the standard requires against server-side request forgery. */
const SECURITY_METADATA = ['workload.spiffe.io', 'true'] as const;

/** How a silent agent is detected: the interval of pings, and the time to answer a ping. */
export interface Keepalive {
  readonly timeMs: number;
  readonly timeoutMs: number;
}

/** A connection whose agent does not answer a ping is closed, long before the SVID expires. Servers of grpc-go permit a ping every five minutes. */
const KEEPALIVE: Keepalive = { timeMs: 330_000, timeoutMs: 20_000 };

/**
 * Opens a stream of X509-SVIDs to a gRPC `target`, over its own connection. The returned function closes both; the listener is
 * not called any more. One attempt is one connection, without gRPC's own back-off: the caller schedules retries.
 */
export function openX509SvidStream(
  target: string,
  listener: StreamListener,
  { timeMs, timeoutMs }: Keepalive = KEEPALIVE,
): () => void {
  const client = new Client(target, credentials.createInsecure(), {
    ...CHANNEL,
    'grpc.keepalive_time_ms': timeMs,
    'grpc.keepalive_timeout_ms': timeoutMs,
    'grpc.max_receive_message_length': MAX_RESPONSE_BYTES,
  });
  const metadata = new Metadata();
  metadata.set(...SECURITY_METADATA);
  const { serialize } = requestType;
  const stream = client.makeServerStreamRequest(
    FETCH_X509_SVID_PATH,
    serialize,
    x509SvidResponseType.deserialize,
    {},
    metadata,
  );
  let isOpen = true;
  const close = (): void => {
    isOpen = false;
    stream.cancel();
    client.close();
  };
  stream.on('data', (response: unknown) => {
    if (isOpen) listener.onResponse(response);
  });
  // The status event follows with the same information.
  stream.on('error', () => undefined);
  stream.on('status', (ended: StatusObject) => {
    if (!isOpen) return;
    close();
    listener.onEnd(streamEnd(ended));
  });
  return close;
}

const streamEnd = ({ code, details }: StatusObject): StreamEnd => {
  if (code === status.PERMISSION_DENIED) {
    const problem = 'the workload api has no identity for this process: no registration entry matches it';
    return { problem, isDenied: true };
  }
  if (code === status.OK) return { problem: 'the workload api ended the stream', isDenied: false };
  const name = status[code] ?? String(code);
  return { problem: `the workload api failed with ${name}: ${printable(details)}`, isDenied: false };
};

const printable = (text: string): string => text.replaceAll(/[^ -~]/g, '?').slice(0, MAX_DETAIL_LENGTH);
