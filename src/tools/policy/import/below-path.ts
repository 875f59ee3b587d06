import type { Problem } from '../../../core/runtime/problem.ts';
import { itemsIn, memberOf } from './entry.ts';
import type { Entry, Imported } from './entry.ts';

/**
 * Places an imported server below a path of its host. Each path that does not start with it is prefixed. A problem for gRPC, whose
 * paths are service names.
 *
 * @param path such as `/crm`
 */
export function belowPath({ server, notes }: Imported, path: string): Imported | Problem {
  if (Object.hasOwn(server, 'grpc')) {
    return { problem: 'gRPC has the path of its services: name those as `paths`, such as `/acme.shop.v1.Shop`' };
  }
  const placed = (entry: Entry): Entry => ({ ...entry, path: below(path, String(entry['path'])) });
  const written = Object.entries(server).map(([key, value]) => {
    if (key === 'mcp') return [key, placed(membersIn(value))] as const;
    return [key, key === 'routes' ? itemsIn(value).map((route) => placed(membersIn(route))) : value] as const;
  });
  return { server: { ...Object.fromEntries(written), paths: [path] }, notes };
}

const below = (path: string, each: string): string =>
  each === path || each.startsWith(`${path}/`) ? each : `${path}${each}`;

const membersIn = (value: unknown): Entry =>
  typeof value === 'object' && value !== null ? { ...value, path: memberOf(value, 'path') } : {};
