import { createFileRegistry, fromJson, toBinary, type FileRegistry, type JsonValue } from '@bufbuild/protobuf';
import type { Problem } from '../../runtime/problem.ts';
import type { DescriptorSet, MessageType } from './descriptor-set.ts';

const MAX_DEPTH = 100;

/**
 * The bytes of a message from its JSON form, as clients of gRPC send them: fields in the order of their numbers, numbers packed, what
 * has its default value left out where absence is not told from it. An unknown field, two members of a `oneof`, a value of another
 * type or out of range are problems, as a clause without its subject; so are a whole number that a double cannot hold exactly, and a
 * set that lacks a file that it imports. Never throws.
 *
 * @see https://protobuf.dev/programming-guides/json
 */
export function messageFromJson({ set, name }: MessageType, value: unknown): Uint8Array | Problem {
  const unfit = unfitProblem(value, MAX_DEPTH);
  if (unfit !== null) return { problem: unfit };
  try {
    const registry = registryOf(set);
    const type = registry.getMessage(name);
    if (type === undefined) return { problem: `is of \`${name}\`, which the descriptor set does not have` };
    return toBinary(type, fromJson(type, value as JsonValue, { registry, recursionLimit: MAX_DEPTH }));
  } catch (error) {
    const words = error instanceof Error ? error.message : 'unknown error';
    return { problem: `does not fit: ${words.replace(/^cannot decode (.*?) from JSON: /, '$1: ')}` };
  }
}

const registries = new WeakMap<DescriptorSet, FileRegistry>();

/** The types of a set; throws where the set is not whole. */
function registryOf(set: DescriptorSet): FileRegistry {
  const registry = registries.get(set) ?? createFileRegistry(set.files);
  registries.set(set, registry);
  return registry;
}

/** What the library would take as something else than was meant. */
function unfitProblem(value: unknown, depthLeft: number): string | null {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value))
    return `has the number \`${value}\`, which is beyond ±(2^53 - 1): write it as text`;
  if (typeof value !== 'object' || value === null) return null;
  if (depthLeft === 0) return `nests deeper than ${MAX_DEPTH}`;
  for (const member of Object.values(value)) {
    const problem = unfitProblem(member, depthLeft - 1);
    if (problem !== null) return problem;
  }
  return null;
}
