import type { DescriptorSet, MethodDescriptor } from '../protobuf/descriptor-set.ts';
import { isMapField, typesOf } from '../protobuf/message-shape.ts';
import { actionIds } from './entry.ts';
import type { Entry, Imported } from './entry.ts';
import { shown } from './schema-arguments.ts';

const MAX_DEPTH = 8;
const MAX_ARGS = 64;
const MAX_NOTES = 200;

/**
 * A server of the catalog from a descriptor set: each method of each service in it, with the arguments of its message that have
 * a type of the catalog; none for a method that takes a stream, which is decided on headers. The risk is `medium`, to be judged
 * by who reviews it. At most 64 arguments a method. The problem where there are no services in it.
 *
 * @param file what the set is called beside the catalog
 */
export function importedDescriptorSet(
  set: DescriptorSet,
  { id, file }: { readonly id: string; readonly file: string },
): Imported | { readonly problem: string } {
  const idFor = actionIds(id);
  const notes: string[] = [];
  const services = [...set.services].flatMap(([service, methods]) => {
    const name = service.slice(service.lastIndexOf('.') + 1);
    const entries = [...methods].map(([method, descriptor]) => {
      const { args, notes: more } = argumentsOf(set, descriptor);
      notes.push(...more.map((note) => `\`${shown(service)}/${shown(method)}\`: ${note}`));
      const written = args.size === 0 ? {} : { args: Object.fromEntries(args) };
      return [method, { action: idFor(`${name}-${method}`), risk: 'medium', ...written }] as const;
    });
    return entries.length === 0 ? [] : [[service, { methods: Object.fromEntries(entries) }] as const];
  });
  if (services.length === 0) return { problem: 'there are no services in it' };
  const left = notes.length - MAX_NOTES;
  const told = left > 0 ? [...notes.slice(0, MAX_NOTES), `and ${left} notes more`] : notes;
  return { server: { grpc: { descriptorSet: file, services: Object.fromEntries(services) } }, notes: told };
}

function argumentsOf(
  set: DescriptorSet,
  { input, isClientStreaming }: MethodDescriptor,
): { readonly args: ReadonlyMap<string, Entry>; readonly notes: readonly string[] } {
  const args = new Map<string, Entry>();
  if (isClientStreaming) return { args, notes: ['it takes a stream, so it is decided on headers'] };
  const notes: string[] = [];
  const on: string[] = [];
  const walk = (message: string, way: readonly string[]): void => {
    on.push(message);
    for (const field of set.messages.get(message)?.fields.values() ?? []) {
      const label = [...way, field.name].join('.');
      const [type] = typesOf(field);
      const isWay = field.kind === 'message' && !field.isRepeated && !isMapField(set, field);
      if (args.size === MAX_ARGS) {
        notes.push(`it has more than ${MAX_ARGS} arguments: \`${shown(label)}\` and others are left out`);
        break;
      }
      if (isWay && on.includes(field.typeName ?? '')) notes.push(`\`${shown(label)}\` is a message in itself`);
      else if (isWay && way.length + 1 < MAX_DEPTH) walk(field.typeName ?? '', [...way, field.name]);
      else if (type === undefined) notes.push(`\`${shown(label)}\` has no type of an argument`);
      else args.set(label, type === 'string' ? {} : { type });
    }
    on.pop();
  };
  walk(input, []);
  return { args, notes };
}
