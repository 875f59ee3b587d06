import { fileURLToPath } from 'node:url';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';

/** Full name of the service Envoy asks; also its name for the gRPC health service. */
export const AUTHORIZATION_SERVICE = 'envoy.service.auth.v3.Authorization';

/** The HTTP/2 path of its one method. */
export const CHECK_PATH = `/${AUTHORIZATION_SERVICE}/Check`;

const folder = fileURLToPath(new URL('../../proto', import.meta.url));

// Nothing but the names as written: an absent field stays absent, which is what tells `headers` from `header_map`.
const definitions = loadSync('envoy/service/auth/v3/external_auth.proto', { keepCase: true, includeDirs: [folder] });

const messageNamed = (name: string): MessageTypeDefinition<object, object> => {
  const definition = definitions[name];
  if (definition === undefined || !('deserialize' in definition) || typeof definition.deserialize !== 'function') {
    throw new Error(`no message \`${name}\` in \`${folder}\``);
  }
  // Checked right above: only a message has a `deserialize` of its own.
  return definition as MessageTypeDefinition<object, object>;
};

/**
 * The codec of a CheckRequest. `deserialize` throws on bytes that are no protobuf message; absent fields are absent.
 *
 * @see proto/envoy/service/auth/v3/external_auth.proto
 */
export const checkRequestType = messageNamed('envoy.service.auth.v3.CheckRequest');

/** The codec of a CheckResponse. `serialize` skips members it does not know without a word: test the bytes. */
export const checkResponseType = messageNamed('envoy.service.auth.v3.CheckResponse');
