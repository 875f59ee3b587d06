/** The service `remit.authority.v1.Authority` from its proto file, for clients and servers. */
import { loadSync } from '@grpc/proto-loader';
import type { MethodDefinition, ServiceDefinition } from '@grpc/proto-loader';
import { productFile } from '../runtime/system/product-file.ts';
import type { AuthorityCalls } from './messages.ts';
import { wireProblem } from './wire-bounds.ts';

const PACKAGE = 'remit.authority.v1';
const NAME = `${PACKAGE}.Authority`;
const folder = productFile('proto');

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

/** As `methodOf`, for a server: requests beyond the bounds of the wire are refused before they are decoded. */
export function boundedMethodOf<Name extends keyof AuthorityCalls>(name: Name): ReturnType<typeof methodOf<Name>> {
  const method = methodOf(name);
  const { name: request } = method.requestType.type as { readonly name: string };
  return {
    ...method,
    requestDeserialize: (bytes) => {
      const problem = wireProblem(request, bytes, fieldNamesOf);
      if (problem !== null) throw new Error(problem);
      return method.requestDeserialize(bytes);
    },
  };
}

/** The names of the fields of a message of the protocol, by number. */
export function fieldNamesOf(message: string): ReadonlyMap<number, string> {
  const known = names.get(message);
  if (known !== undefined) return known;
  const definition = definitions[`${PACKAGE}.${message}`];
  if (definition === undefined || !('type' in definition))
    throw new Error(`no message \`${message}\` in \`${folder}\``);
  // `@grpc/proto-loader` gives a DescriptorProto.
  const { field } = definition.type as unknown as { readonly field: readonly { number: number; name: string }[] };
  const made = new Map(field.map(({ number, name }) => [number, name]));
  names.set(message, made);
  return made;
}

/** The field names of each message, memoised. */
const names = new Map<string, ReadonlyMap<number, string>>();

function serviceNamed(name: string): ServiceDefinition {
  const definition = definitions[name];
  if (definition === undefined || 'format' in definition) throw new Error(`no service \`${name}\` in \`${folder}\``);
  return definition;
}
