import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';

/** A query as Prometheus is asked it, and where it stands. */
export interface DashboardQuery {
  /** `operators.json: Check` */
  readonly where: string;
  readonly expression: string;
}

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly (Partial<TraceSearch> & { readonly expr?: string })[];
}

/** A search of a Jaeger, as a panel makes it. */
export interface TraceSearch {
  readonly service: string;
  readonly operation?: string;
  /** `name="value"` each, with the dashboard's variables. */
  readonly tags: string;
}

/** A dashboard of Grafana, as far as the tests read it. */
export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly tags: readonly string[];
  readonly links: readonly object[];
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string }[] };
}

const deploy = resolve(import.meta.dirname, '../../deploy');

/** The alert rules that are shipped. */
export const alertsFile = join(deploy, 'prometheus/alerts.yaml');

/** Every dashboard that is shipped, by its file name. */
export const dashboards: ReadonlyMap<string, Dashboard> = new Map(
  readdirSync(join(deploy, 'grafana'))
    .filter((name) => name.endsWith('.json'))
    .map((name) => [name, JSON.parse(readFileSync(join(deploy, 'grafana', name), 'utf8')) as Dashboard] as const),
);

/** What Grafana puts in the place of its variables when all is shown. */
const variables: readonly (readonly [string, string])[] = [
  ['$__rate_interval', '1m'],
  ['$__range', '5m'],
  ['$job', '.*'],
  ['$instance', '.*'],
];

/** Every query of every dashboard. */
export const dashboardQueries: readonly DashboardQuery[] = [...dashboards].flatMap(([file, { panels }]) =>
  panels.flatMap(({ title, targets = [] }) =>
    targets.flatMap(({ expr }) =>
      expr === undefined
        ? []
        : [
            {
              where: `${file}: ${title}`,
              expression: variables.reduce((text, [name, value]) => text.replaceAll(name, value), expr),
            },
          ],
    ),
  ),
);

/** The searches of the dashboard that begins with a value, by the titles of their panels. */
export const traceSearches: ReadonlyMap<string, TraceSearch> = new Map(
  (dashboards.get('investigate.json')?.panels ?? []).flatMap(({ title, targets = [] }) =>
    targets.flatMap(({ service, tags, operation }) =>
      service === undefined || tags === undefined
        ? []
        : [[title, { service, tags, ...(operation === undefined ? {} : { operation }) }] as const],
    ),
  ),
);

/** The tags of a search by name, with values for the dashboard's variables. */
export const tagsIn = (
  { tags }: Pick<TraceSearch, 'tags'>,
  values: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...tags.matchAll(/(\S+)="([^"]*)"/g)].map(([, name = '', value = '']) => [
      filled(name, values),
      filled(value, values),
    ]),
  );

const filled = (text: string, values: Readonly<Record<string, string>>): string =>
  text.replaceAll(/\$\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);

/** An alert rule. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const rules: { readonly groups: readonly { readonly rules: readonly AlertRule[] }[] } = parse(
  readFileSync(alertsFile, 'utf8'),
);

/** Every alert rule. */
export const alertRules: readonly AlertRule[] = rules.groups.flatMap((group) => group.rules);
