import type { Entry, Imported, ImportOptions } from './entry.ts';
import { selected } from './selection.ts';

/** A method of a service, as it is selected and named. */
export interface FoundMethod {
  readonly key: string;
  readonly name: string;
  readonly names: readonly string[];
  /** With its package. */
  readonly service: string;
  readonly method: string;
}

/**
 * The methods of services, each named by its service and itself: by the service's own name where no other service of the document
 * has that name, else with the package.
 */
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
 * A server of the catalog from a `.proto` file: each method of each service in it. The risk is `medium`, to be judged by who
 * reviews it; messages are not looked at, as gRPC is decided on headers. The problem where there are no services in it, or no
 * method that is selected.
 */
export function importedProto(text: string, options: ImportOptions): Imported | { readonly problem: string } {
  const code = text.replaceAll(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\/\/[^\n]*|\/\*[^]*?\*\//g, (found) =>
    found.startsWith('/') ? ' ' : '""',
  );
  const prefix = /\bpackage\s+([\w.]+)\s*;/.exec(code)?.[1];
  const services = new Map<string, readonly string[]>();
  // What is before the first `service` is none; a method belongs to the service it comes after.
  for (const part of code.split(/\bservice\s+(?=\w+\s*\{)/).slice(1)) {
    const name = /^\w+/.exec(part)?.[0] ?? '';
    const methods = [...part.matchAll(/\brpc\s+(\w+)\s*\(/g)].map((match) => match[1] ?? '');
    if (methods.length > 0) services.set(prefix === undefined ? name : `${prefix}.${name}`, [...new Set(methods)]);
  }
  if (services.size === 0) return { problem: 'there are no services in it' };
  const chosen = selected(foundMethods(services), { what: 'methods' }, options);
  if ('problem' in chosen) return chosen;
  const entries = chosen.chosen.map((one) => ({ ...one, entry: { action: one.id, risk: 'medium' } }));
  return { server: { grpc: { services: servicesOf(entries) } }, notes: chosen.notes };
}

/** Entries of methods under their services, in the order in which they come. */
export const servicesOf = (
  entries: readonly { readonly service: string; readonly method: string; readonly entry: Entry }[],
): Entry =>
  Object.fromEntries(
    [...Map.groupBy(entries, ({ service }) => service)].map(([service, methods]) => [
      service,
      { methods: Object.fromEntries(methods.map(({ method, entry }) => [method, entry])) },
    ]),
  );
