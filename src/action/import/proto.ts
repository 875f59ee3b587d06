import { actionIds } from './entry.ts';
import type { Entry, Imported } from './entry.ts';

/**
 * A server of the catalog from a `.proto` file: each method of each service in it. The risk is `medium`, to be judged by who
 * reviews it; messages are not looked at, as gRPC is decided on headers. The problem where there are no services in it.
 */
export function importedProto(text: string, id: string): Imported | { readonly problem: string } {
  const code = text.replaceAll(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\/\/[^\n]*|\/\*[^]*?\*\//g, (found) =>
    found.startsWith('/') ? ' ' : '""',
  );
  const prefix = /\bpackage\s+([\w.]+)\s*;/.exec(code)?.[1];
  const idFor = actionIds(id);
  const services = new Map<string, Entry>();
  // What is before the first `service` is none; a method belongs to the service it comes after.
  for (const part of code.split(/\bservice\s+(?=\w+\s*\{)/).slice(1)) {
    const name = /^\w+/.exec(part)?.[0] ?? '';
    const names = [...part.matchAll(/\brpc\s+(\w+)\s*\(/g)].map((match) => match[1] ?? '');
    const methods = names.map((method) => [method, { action: idFor(`${name}-${method}`), risk: 'medium' }] as const);
    if (methods.length === 0) continue;
    services.set(prefix === undefined ? name : `${prefix}.${name}`, { methods: Object.fromEntries(methods) });
  }
  if (services.size === 0) return { problem: 'there are no services in it' };
  return { server: { grpc: { services: Object.fromEntries(services) } }, notes: [] };
}
