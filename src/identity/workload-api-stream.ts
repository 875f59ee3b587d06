import { fileURLToPath } from 'node:url';
import { Client, credentials, Metadata, status, type StatusObject } from '@grpc/grpc-js';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';

/** HTTP/2 path of the one method that is used. The standard gives its service no package. */
export const FETCH_X509_SVID_PATH = '/SpiffeWorkloadAPI/FetchX509SVID';

/** Longest message that is read, in bytes; the default of every gRPC client. */
export const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;

/** Longest text of a server that is repeated in a problem, in characters. */
const MAX_DETAIL_LENGTH = 200;

const folder = fileURLToPath(new URL('../../proto', import.meta.url));
const definitions = loadSync('spiffe/workload/workload.proto', { keepCase: true, includeDirs: [folder] });

const messageNamed = (name: string): MessageTypeDefinition<object, object> => {
  const definition = definitions[name];
  if (definition === undefined || !('deserialize' in definition) || typeof definition.deserialize !== 'function') {
    throw new Error(`no message \`${name}\` in \`${folder}\``);
  }
  // Checked right above: only a message has a `deserialize` of its own.
  return definition as MessageTypeDefinition<object, object>;
};

const requestType = messageNamed('X509SVIDRequest');

/** The codec of an X509SVIDResponse. @see proto/spiffe/workload/workload.proto */
export const x509SvidResponseType = messageNamed('X509SVIDResponse');

/** How a stream ended. */
export interface StreamEnd {
  readonly problem: string;
  /** The server gives this workload no identity, which takes back any that it gave before. */
  readonly isDenied: boolean;
}

/** Who is told of what a stream brings. */
export interface StreamListener {
  readonly onResponse: (response: unknown) => void;
  /** Once, and nothing after it. */
  readonly onEnd: (end: StreamEnd) => void;
}

/** INVARIANT: the metadata every server asks for, so that a request forged through another program is refused. */
const SECURITY_METADATA = ['workload.spiffe.io', 'true'] as const;

/** One attempt is one connection, made at once: waiting between attempts is for the caller alone. */
const CHANNEL = {
  'grpc.enable_channelz': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_retries': 0,
  'grpc.max_receive_message_length': MAX_RESPONSE_BYTES,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
} as const;

/**
 * Opens one stream of X509-SVIDs at the gRPC `target` over a connection of its own. The result ends both, and the listener
 * is told nothing more.
 */
export function openX509SvidStream(target: string, listener: StreamListener): () => void {
  const client = new Client(target, credentials.createInsecure(), CHANNEL);
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
  // The status follows and says the same.
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
