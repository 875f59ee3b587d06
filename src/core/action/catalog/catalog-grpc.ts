import { grpcArguments } from './catalog-arguments.ts';
import { descriptorSetOf } from './catalog-descriptor-sets.ts';
import type { DescriptorSets } from './catalog-descriptor-sets.ts';
import { actionFields, actionHead, takesOthersIn } from './catalog-head.ts';
import type { Defaults } from './catalog-head.ts';
import type { MessageEntry } from './catalog-protocols.ts';
import type { DescriptorSet, MessageType, MethodDescriptor } from '../grpc/protobuf/descriptor-set.ts';
import { messageShapes, missingMessage, pathProblem } from '../grpc/protobuf/message-shape.ts';
import type { MessageShape } from '../grpc/protobuf/message-shape.ts';
import { pathTemplateFrom } from './template.ts';
import type { PathTemplate } from './template.ts';
import { entriesOf, yamlFields } from './yaml-file.ts';
import type { Placed, PlacedNode, YamlFile } from './yaml-file.ts';

/** A method of a gRPC service, named like `acme.payments.v1.Payments/Get`. */
export interface GrpcEntry extends MessageEntry {
  readonly path: Placed<PathTemplate>;
  /** The fields its arguments are read from; `null` if it has none and is decided on headers. */
  readonly message: MessageShape | null;
  /** The type of its message; `null` if the catalog has no descriptor set for it. */
  readonly input: MessageType | null;
}

/** What all methods of a server share, and the descriptor set, if any. */
interface Rules {
  readonly defaults: Defaults;
  readonly set: DescriptorSet | null;
  readonly shapeOf: ReturnType<typeof messageShapes> | null;
  /** Whether a set is named. If it could not be read, that is the only finding. */
  readonly isDescribed: boolean;
}

const MAX_NAME_LENGTH = 256;
const GRPC_SERVICE = /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/;
const GRPC_METHOD = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** The `grpc` section of a server. With a descriptor set, every service, method and argument field must exist in it. */
export function grpcEntries(
  yaml: YamlFile,
  node: PlacedNode,
  { defaults, sets }: { readonly defaults: Defaults; readonly sets: DescriptorSets },
): readonly GrpcEntry[] {
  const fields = yamlFields(yaml, node, { what: '`grpc`', required: ['services'], optional: ['descriptorSet'] });
  const services = fields.get('services');
  const named = fields.get('descriptorSet');
  if (services === undefined) return [];
  const set = named === undefined ? null : descriptorSetOf(yaml, named, sets);
  const rules = { defaults, set, shapeOf: set === null ? null : messageShapes(set), isDescribed: named !== undefined };
  return entriesOf(yaml, services, '`services`').flatMap(([service, value]) => {
    if (!GRPC_SERVICE.test(service.value) || service.value.length > MAX_NAME_LENGTH)
      yaml.report(service.offset, 'a gRPC service is named with its package, such as `acme.payments.v1.Payments`');
    const methods = yamlFields(yaml, value, { what: 'a gRPC service', required: ['methods'] }).get('methods');
    const described = set?.services.get(service.value);
    if (set !== null && described === undefined)
      yaml.report(service.offset, `the descriptor set does not have the service \`${service.value}\``);
    if (methods === undefined) return [];
    return entriesOf(yaml, methods, '`methods`').flatMap(([method, entry]) => {
      return grpcEntry(yaml, { service: service.value, method, entry, described }, rules) ?? [];
    });
  });
}

function grpcEntry(
  yaml: YamlFile,
  of: {
    readonly service: string;
    readonly method: Placed<string>;
    readonly entry: PlacedNode;
    readonly described: ReadonlyMap<string, MethodDescriptor> | undefined;
  },
  rules: Rules,
): GrpcEntry | null {
  const { service, method, entry, described } = of;
  if (!GRPC_METHOD.test(method.value) || method.value.length > MAX_NAME_LENGTH)
    yaml.report(method.offset, 'a gRPC method is a name of letters, digits and `_`');
  const fields = actionFields(yaml, entry, 'a gRPC method');
  const descriptor = described?.get(method.value);
  if (described !== undefined && descriptor === undefined)
    yaml.report(method.offset, `the service \`${service}\` of the descriptor set has no method \`${method.value}\``);
  const closed = fields.get('otherArguments');
  const takesOthers = takesOthersIn(yaml, closed);
  const { args, message } = messageOf(
    yaml,
    { args: fields.get('args'), closed: takesOthers ? undefined : closed },
    { ...rules, descriptor },
  );
  const head = actionHead(yaml, fields, rules.defaults);
  const template = pathTemplateFrom(`/${service}/${method.value}`);
  if (head === null || 'problem' in template) return null;
  const { offset } = method;
  const name = { value: `${service}/${method.value}`, offset };
  const input = rules.set === null || descriptor === undefined ? null : { set: rules.set, name: descriptor.input };
  return { ...head, name, path: { value: template, offset }, args, takesOthers, message, input };
}

function messageOf(
  yaml: YamlFile,
  written: { readonly args: PlacedNode | undefined; readonly closed: PlacedNode | undefined },
  { set, shapeOf, isDescribed, descriptor }: Rules & { readonly descriptor: MethodDescriptor | undefined },
): Pick<GrpcEntry, 'args' | 'message'> {
  const none = { args: [], message: null };
  const node = written.args ?? written.closed;
  if (node === undefined) return none;
  const takesOthers = written.closed === undefined;
  const placed = grpcArguments(yaml, written.args);
  if (!isDescribed) yaml.report(node.offset, 'the arguments of a gRPC method need the `descriptorSet` of its messages');
  if (set === null || shapeOf === null || descriptor === undefined) return none;
  if (placed.length === 0 && takesOthers) return none;
  if (descriptor.isClientStreaming) {
    yaml.report(node.offset, 'a method that takes a stream has no arguments: it is decided on headers');
    return none;
  }
  const missing = missingMessage(set, descriptor.input);
  if (missing !== null) {
    const help = 'write the set with its imports: `protoc --include_imports --descriptor_set_out`';
    yaml.report(node.offset, `the descriptor set does not have the message \`${missing}\``, help);
    return none;
  }
  const found = placed.map(({ offset, ...arg }) => ({ arg, offset, wrong: pathProblem(set, descriptor.input, arg) }));
  for (const { offset, wrong } of found) {
    if (wrong !== null) yaml.report(offset, wrong.problem, wrong.help);
  }
  if (found.some(({ wrong }) => wrong !== null)) return none;
  const args = found.map(({ arg }) => arg);
  return { args, message: shapeOf(descriptor.input, { args, takesOthers }) };
}
