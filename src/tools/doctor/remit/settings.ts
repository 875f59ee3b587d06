/** Checks of the configuration of a Remit, and of who can write what it names. */
import type { Config } from '../../../core/config/config.ts';
import type { Finding } from '../finding.ts';
import { rightsOf } from '../../../authority/feed/authorize.ts';
import { spiffeIdFrom } from '../../../core/identity/spiffe-id.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import { isOfNetwork } from '../../../core/config/ext-authz.ts';
import { addressText } from '../../../core/config/values.ts';
import type { RemitCheck } from './remit-check.ts';
import type { RemitHost } from './remit-facts.ts';

const check = (title: string, find: (host: RemitHost) => readonly Finding[]): RemitCheck => ({
  title,
  run: ({ host }) => (host === null ? null : find(host)),
});

/** Tokens live no longer than this process accepts, and the issuer answers at its URL. */
export const issuerSettings = check(
  'the tokens of the issuer are accepted, and it answers at its URL',
  ({ config, policies }) => [
    ...tokenLife(config),
    ...otherPort(config),
    ...operatingAgents(config, policies?.agents ?? []),
    ...sidecarAgents(config, policies?.agents ?? []),
    ...anySidecars(config),
  ],
);

const tokenLife = ({ extAuthz, issuer }: Config): readonly Finding[] =>
  issuer === null || issuer.tokenSeconds <= extAuthz.maxTokenSeconds
    ? []
    : [
        {
          code: 'issuer.token-life',
          where: 'issuer',
          message: `its tokens live ${issuer.tokenSeconds} s (\`issuer.tokenSeconds\`), and \`extAuthz.maxTokenSeconds\` accepts ${extAuthz.maxTokenSeconds} s at most: every call is answered 401`,
          fix: 'set `extAuthz.maxTokenSeconds` to at least `issuer.tokenSeconds`',
        },
      ];

const HTTPS_PORT = 443;

function otherPort({ issuer }: Config): readonly Finding[] {
  if (issuer === null || issuer.listen.kind !== 'tcp' || issuer.listen.port === 0) return [];
  const written = URL.parse(issuer.url)?.port ?? '';
  const port = Number(written) || HTTPS_PORT;
  return port === issuer.listen.port
    ? []
    : [
        {
          code: 'issuer.port',
          where: 'issuer',
          // A URL without a port is usual if a load balancer terminates the connections of clients.
          level: written === '' ? 'info' : 'warning',
          message: `\`issuer.url\` has the port ${port}, and it listens on ${issuer.listen.port}: clients that follow the URL do not reach it, unless something forwards them`,
          fix: 'write the port into `issuer.url`, or suppress this if a Service or load balancer forwards',
        },
      ];
}

const operatingAgents = ({ issuer, enforcement }: Config, agents: readonly string[]): readonly Finding[] => [
  ...operatorFindings(
    issuer?.operators ?? [],
    'it is an operator (`issuer.operators`) and an agent that the policies name: an agent can then resume and cancel the tasks of others, and its own after a stop',
    agents,
  ),
  ...operatorFindings(
    enforcement.emergency.operators,
    'it may start emergencies (`enforcement.emergency.operators`) and is an agent that the policies name: an agent can then have the calls of other agents pass that policies deny',
    agents,
  ),
];

const operatorFindings = (
  operators: readonly string[],
  message: string,
  agents: readonly string[],
): readonly Finding[] =>
  operators
    .filter((operator) => agents.includes(operator))
    .map((operator) => ({
      code: 'issuer.operator-agent',
      where: `operator/${operator}`,
      message,
      fix: 'give operators SPIFFE IDs of their own, which no policy names',
    }));

/** With the identity of a sidecar an agent could allow its own calls, and use up the budgets of others. */
const sidecarAgents = ({ authority }: Config, agents: readonly string[]): readonly Finding[] =>
  agents
    .filter((agent) => {
      const id = spiffeIdFrom(agent);
      return !isDeny(id) && rightsOf(authority.sidecars, id) !== null;
    })
    .map((agent) => ({
      code: 'issuer.sidecar-agent',
      where: `agent/${agent}`,
      message:
        'a rule of `authority.sidecars` admits it, and the policies name it as an agent: it can follow tasks, have tokens revoked and spend budgets',
      fix: 'name the service accounts of tool servers in `authority.sidecars`, and run agents under others',
    }));

const anySidecars = ({ authority }: Config): readonly Finding[] =>
  authority.sidecars
    .filter(({ id }) => /\/\*+$/.test(id))
    .map(({ id }) => ({
      code: 'issuer.any-sidecar',
      where: `sidecars/${id}`,
      message:
        'every workload there may be a sidecar, whatever its name: it can follow tasks, have tokens revoked and spend budgets',
      fix: 'name the service accounts of the tool servers, or an SVID of the container of Remit alone',
    }));

/** A token that another workload presents is revoked. */
export const stolenTokens = check('a token that another workload presents is revoked', ({ config: { extAuthz } }) =>
  extAuthz.onBindingViolation === 'ignore'
    ? [
        {
          code: 'identity.stolen-tokens',
          where: 'extAuthz',
          message:
            '`onBindingViolation: ignore`: a token that another workload presents is denied there, and goes on elsewhere',
          fix: 'set `onBindingViolation: revoke-token`',
        },
      ]
    : [],
);

/**
 * Only this machine reaches the admin address. With `admin.socket` the address serves metrics and readiness alone, and may be
 * that of the pod, which the kubelet and Prometheus use: the finding is then an info.
 */
export const adminAddress = check(
  'the admin address tells this machine alone of calls',
  ({ config: { admin } }): readonly Finding[] => {
    if (!isOfNetwork(admin.listen)) return [];
    const hasSocket = admin.socket !== null;
    const what = hasSocket ? 'metrics and readiness' : 'metrics, readiness and policies on trial';
    return [
      {
        code: 'platform.admin-open',
        where: `admin/${addressText(admin.listen)}`,
        level: hasSocket ? 'info' : 'warning',
        message: `other machines can read its ${what}, in clear`,
        fix: `${hasSocket ? '' : 'set `admin.listen: 127.0.0.1:9471`, or `admin.socket` too; '}if probes or scrapers need it, let a NetworkPolicy admit those alone`,
      },
    ];
  },
);

/** Nobody else writes the policies. */
export const policyAccess = check('nobody else can write the policies', ({ policies }) =>
  policies === null || policies.writable === null
    ? []
    : [
        {
          code: 'policy.writable',
          where: `folder/${policies.folder}`,
          message: `${policies.writable.split(': remove')[0] ?? ''}: others can then decide what agents may do`,
          fix: 'give the folder and its files to root or the user of Remit, and `chmod -R go-w`',
        },
      ],
);

/** Nobody else writes the state. */
export const stateAccess = check('nobody else can write the state', ({ writableState }) =>
  writableState === null
    ? []
    : [
        {
          code: 'ledger.state-writable',
          where: `file/${writableState}`,
          message: 'every user of this machine can change it, and so tasks, budgets and what was revoked',
          fix: 'give the state file and its folder to the user of Remit: `chmod o-w`',
        },
      ],
);

/** Rows of a database are accepted only if an authority wrote them. */
export const sealedState = check(
  'the login of the database cannot declare tasks',
  ({ config: { authority, state } }) =>
    state.kind !== 'postgres' || authority.stateKey !== null
      ? []
      : [
          {
            code: 'ledger.state-unsealed',
            where: 'authority',
            message:
              '`authority.stateKey` is missing: who has the login of the database, and nothing else, inserts a task or token that nobody granted, and it counts',
            fix: 'stop all authorities; `openssl rand -out FILE 64`; `remit migrate --state URL --seal FILE` seals the rows of before; set `authority.stateKey: FILE` at each',
          },
        ],
);

/** No policy permits more than it should. */
export const openPermits = check('no policy permits any agent, or high risk under any intent', ({ policies }) =>
  (policies?.openPermits ?? []).map(({ policy, rule }) => ({
    code: 'policy.open-permit',
    where: `policy/${policy}`,
    message:
      rule === 'permit-any-agent'
        ? 'it permits an action to every agent of every accepted trust domain'
        : 'it permits an action of high risk whatever the task was declared for',
    fix: `see \`${rule}\` in \`remit policy lint\`: name the agents or the purpose, or accept it with \`@accept\``,
  })),
);
