import type { Entry, Imported, ImportOptions } from './entry.ts';
import { selected } from './selection.ts';

/** A method of a service. */
export interface FoundMethod {
  readonly key: string;
  readonly name: string;
  readonly names: readonly string[];
  /** Fully qualified. */
  readonly service: string;
  readonly method: string;
}

/** The methods of services, named by service and method; the service with its package if its simple name is not unique. */
export function foundMethods(services: ReadonlyMap<string, Iterable<string>>): readonly FoundMethod[] {
  const bySimple = Map.groupBy(services.keys(), simpleName);
  return [...services].flatMap(([service, methods]) => {
    const named = (bySimple.get(simpleName(service)) ?? []).length > 1 ? service : simpleName(service);
    return [...methods].map((method) => {
      const key = `${service}/${method}`;
      return { key, name: `${named}-${method}`, names: [key], service, method };
    });
  });
}

const simpleName = (service: string): string => service.slice(service.lastIndexOf('.') + 1);

/**
 * Makes a server from a `.proto` file: each method of each service. The risk is `medium`, for the reviewer to judge. Messages
 * are not read, since gRPC is decided on headers here. A problem if there are no services, or no method is selected.
 */
export function importedProto(text: string, options: ImportOptions): Imported | { readonly problem: string } {
  const code = text.replaceAll(
    // oxlint-disable-next-line remit/linear-expression -- each alternative takes what it has read, also without its end
    /"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|\/\/[^\n]*|\/\*(?:[^]*?\*\/|[^]*)/g,
    (found) => (found.startsWith('/') ? ' ' : '""'),
  );
  const prefix = /\bpackage\s+([\w.]+)\s*;/.exec(code)?.[1];
  const services = new Map<string, readonly string[]>();
  // Text before the first `service` has no methods; a method belongs to the service before it.
  // oxlint-disable-next-line remit/linear-expression -- a file of the operator’s own
  for (const part of code.split(/\bservice\s+(?=\w+\s*\{)/).slice(1)) {
    const name = /^\w+/.exec(part)?.[0] ?? '';
    const methods = [...part.matchAll(/\brpc\s+(\w+)\s*\(/g)].map((match) => match[1] ?? '');
    if (methods.length > 0) services.set(prefix === undefined ? name : `${prefix}.${name}`, [...new Set(methods)]);
  }
  if (services.size === 0) return { problem: 'it has no gRPC service' };
  const chosen = selected(foundMethods(services), { what: 'methods' }, options);
  if ('problem' in chosen) return chosen;
  const entries = chosen.chosen.map((one) => ({ ...one, entry: { action: one.id, risk: 'medium' } }));
  return { server: { grpc: { services: servicesOf(entries) } }, notes: chosen.notes };
}

/** Entries of methods by service, in order. */
export const servicesOf = (
  entries: readonly { readonly service: string; readonly method: string; readonly entry: Entry }[],
): Entry =>
  Object.fromEntries(
    [...Map.groupBy(entries, ({ service }) => service)].map(([service, methods]) => [
      service,
      { methods: Object.fromEntries(methods.map(({ method, entry }) => [method, entry])) },
    ]),
  );
