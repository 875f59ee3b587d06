import { fileURLToPath } from 'node:url';
import { loadSync } from '@grpc/proto-loader';
import type { MethodDefinition, ServiceDefinition } from '@grpc/proto-loader';
import type { AuthorityCalls } from './messages.ts';

const NAME = 'remit.authority.v1.Authority';
const folder = fileURLToPath(new URL('../../proto', import.meta.url));

const definitions = loadSync('remit/authority/v1/authority.proto', {
  keepCase: true,
  longs: Number,
  defaults: true,
  oneofs: true,
  includeDirs: [folder],
});

/** The service `remit.authority.v1.Authority`. */
const service = serviceNamed(NAME);

/** One method of the service, for a client of grpc-js. */
export function methodOf<Name extends keyof AuthorityCalls>(
  name: Name,
): MethodDefinition<AuthorityCalls[Name][0], AuthorityCalls[Name][1]> {
  const method = service[name];
  if (method === undefined) throw new Error(`\`${NAME}\` has no method \`${name}\``);
  // The `.proto` gives these types, as `messages.ts` says.
  return method as MethodDefinition<AuthorityCalls[Name][0], AuthorityCalls[Name][1]>;
}

function serviceNamed(name: string): ServiceDefinition {
  const definition = definitions[name];
  if (definition === undefined || 'format' in definition) throw new Error(`no service \`${name}\` in \`${folder}\``);
  return definition;
}
