import { fileURLToPath } from 'node:url';
import { loadSync, type MessageTypeDefinition, type Options } from '@grpc/proto-loader';

/** Full name of the service Envoy asks; also its name for the gRPC health service. */
export const AUTHORIZATION_SERVICE = 'envoy.service.auth.v3.Authorization';

/** The HTTP/2 path of its one method. */
export const CHECK_PATH = `/${AUTHORIZATION_SERVICE}/Check`;

/** The HTTP/2 path of the one method of the access log service. */
export const ACCESS_LOG_PATH = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';

const folder = fileURLToPath(new URL('../../proto', import.meta.url));

type Codec = MessageTypeDefinition<object, object>;

/** The messages a file of `proto/` leads to, by name: nothing but the names as written, and what is absent stays absent. */
function codecsIn(file: string, options: Options = {}): (name: string) => Codec {
  const definitions = loadSync(file, { keepCase: true, includeDirs: [folder], ...options });
  return (name) => {
    const definition = definitions[name];
    if (definition === undefined || !('deserialize' in definition) || typeof definition.deserialize !== 'function') {
      throw new Error(`no message \`${name}\` in \`${folder}\``);
    }
    // Checked right above: only a message has a `deserialize` of its own.
    return definition as Codec;
  };
}

// Sizes are far below 2^53.
const accessLog = codecsIn('envoy/service/accesslog/v3/als.proto', { longs: Number });

/** The codec of one entry of the access log, without its metadata: what other filters wrote is not ours to decode. */
export const accessLogEntryType = accessLog('envoy.data.accesslog.v3.HTTPAccessLogEntry');
