import { execFileSync } from 'node:child_process';
import { dirname } from 'node:path';

/** A service of a compose file, as far as tests read it. */
export interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile?: string };
  readonly entrypoint?: readonly string[] | null;
  readonly command?: readonly string[] | null;
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly {
    readonly type: string;
    readonly source: string;
    readonly target: string;
    readonly read_only?: boolean;
  }[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test?: readonly string[] };
  readonly network_mode?: string;
  readonly pid?: string;
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
}

/** The model of a compose file, normalised by the reference implementation. Throws what that says of an invalid file. */
export function composeProject(
  compose: string,
  file: string,
): { readonly services: Readonly<Record<string, Service>> } {
  return JSON.parse(
    execFileSync(compose, ['--format', 'json', file], { cwd: dirname(file), encoding: 'utf8', stdio: 'pipe' }),
  );
}

/** The names of the services in an order in which each comes after those it depends on. Throws where there is none. */
export function startOrder(services: Readonly<Record<string, Service>>): readonly string[] {
  const ordered = new Set<string>();
  const visit = (name: string, trail: readonly string[]): void => {
    if (trail.includes(name)) throw new Error(`services depend on each other: ${[...trail, name].join(', ')}`);
    const needed = Object.keys(services[name]?.depends_on ?? {}).toSorted();
    for (const other of needed) visit(other, [...trail, name]);
    ordered.add(name);
  };
  for (const name of Object.keys(services)) visit(name, []);
  return [...ordered];
}
