import type { DescriptorSet, MethodDescriptor } from '../../../core/action/grpc/protobuf/descriptor-set.ts';
import { isMapField, messageTypes } from '../../../core/action/grpc/protobuf/message-shape.ts';
import { Effort, EFFORT_SPENT } from './effort.ts';
import { printableName } from './entry.ts';
import type { Entry, Imported, ImportOptions } from './entry.ts';
import { foundMethods, servicesOf } from './proto.ts';
import { limitNotes } from './schema-arguments.ts';
import type { Limited } from './schema-arguments.ts';
import { selected } from './selection.ts';

const MAX_DEPTH = 8;
const MAX_ARGS = 64;
/** The last is left out, with those after it. */
const MAX_FIELDS = 1000;
const MAX_NAME = 128;

/**
 * Makes a server from a descriptor set: each method of each service, with those arguments that have a catalog type; without
 * arguments for a client stream, which is decided on headers. The risk is `medium`, for the reviewer to judge. At most 64
 * arguments per method, from at most 8 levels of messages and the first 1,000 fields. A problem if there are no services, none is
 * selected, or what they take has too many fields in all.
 *
 * @param file the name of the set beside the catalog
 */
export function importedDescriptorSet(
  set: DescriptorSet,
  options: ImportOptions & { readonly file: string },
): Imported | { readonly problem: string } {
  const services = new Map([...set.services].map(([name, methods]) => [name, methods.keys()]));
  const found = foundMethods(services);
  if (found.length === 0) return { problem: 'it has no gRPC service' };
  const chosen = selected(found, { what: 'methods' }, options);
  if ('problem' in chosen) return chosen;
  const notes: string[] = [];
  const effort = new Effort();
  const limited: (Limited & { readonly of: string })[] = [];
  const entries = chosen.chosen.flatMap(({ key, service, method, id }) => {
    const descriptor = set.services.get(service)?.get(method);
    if (descriptor === undefined) return [];
    const { args, notes: more, limited: within } = argumentsOf(set, descriptor, effort);
    for (const note of more) notes.push(`\`${printableName(key)}\`: ${note}`);
    for (const { limit, label } of within) limited.push({ limit, label, of: key });
    const written = args.size === 0 ? {} : { args: Object.fromEntries(args) };
    return [{ service, method, entry: { action: id, risk: 'medium', ...written } }];
  });
  if (effort.isSpent) return EFFORT_SPENT;
  return {
    server: { grpc: { descriptorSet: options.file, services: servicesOf(entries) } },
    notes: [...chosen.notes, ...limitNotes(limited), ...notes],
  };
}

const WIDE = new Set(['int64', 'uint64', 'fixed64', 'sfixed64', 'sint64']);

function argumentsOf(
  set: DescriptorSet,
  { input, isClientStreaming }: MethodDescriptor,
  effort: Effort,
): {
  readonly args: ReadonlyMap<string, Entry>;
  readonly notes: readonly string[];
  readonly limited: readonly Limited[];
} {
  const args = new Map<string, Entry>();
  const limited: Limited[] = [];
  if (isClientStreaming) return { args, notes: ['it takes a stream, so it is decided on headers'], limited };
  const notes: string[] = [];
  const on: string[] = [];
  let left = MAX_FIELDS;
  const walk = (message: string, way: readonly string[]): void => {
    on.push(message);
    for (const field of set.messages.get(message)?.fields.values() ?? []) {
      if (left === 0) break;
      left = effort.take(1) ? left - 1 : 0;
      const label = [...way, field.name.slice(0, MAX_NAME)].join('.');
      const [type] = messageTypes(field);
      const isWay = field.kind === 'message' && !field.isRepeated && !isMapField(set, field);
      if (args.size === MAX_ARGS || left === 0) {
        const most = left === 0 ? `${MAX_FIELDS} fields` : `${MAX_ARGS} arguments`;
        notes.push(`it has more than ${most}: \`${printableName(label)}\` and others are left out`);
        left = 0;
      } else if (field.name.length > MAX_NAME) notes.push(`\`${printableName(label)}\` is not a valid argument name`);
      else if (isWay && on.includes(field.typeName ?? '')) notes.push(`\`${printableName(label)}\` contains itself`);
      else if (isWay && way.length + 1 < MAX_DEPTH) walk(field.typeName ?? '', [...way, field.name]);
      else if (type === undefined) notes.push(`\`${printableName(label)}\` has no matching argument type`);
      else {
        args.set(label, type === 'string' ? {} : { type });
        if (WIDE.has(field.kind)) limited.push({ limit: 'integer', label });
        if (field.kind === 'double') limited.push({ limit: 'number', label });
        if (field.kind === 'string') limited.push({ limit: 'text', label });
      }
    }
    on.pop();
  };
  walk(input, []);
  return { args, notes, limited };
}
