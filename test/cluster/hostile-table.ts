import { IMAGES } from '../parts/cluster.ts';
import { app, configurationMount, further, listOf, sidecar, STAYS, user, volume, withApp } from './hostile-pods.ts';
import type { HostilePod } from './hostile-pods.ts';

const mount = (name: string, mountPath: string, more: object = {}) => ({
  volumeMounts: [{ name, mountPath, ...more }],
});
const CONFIGURATION = '/etc/remit/remit.yaml';
const POLICY = '/etc/remit/policies/tools.cedar';
const filesIn = (path: string): string => `fs.readdirSync(${JSON.stringify(path)}).join(" ")`;
const textOf = (path: string): string => `JSON.stringify(fs.readFileSync(${JSON.stringify(path)}, "utf8"))`;
/** How many processes a container sees beside its own. */
const PROCESSES =
  'fs.readdirSync("/proc").filter((name) => Number(name) > 0 && name !== String(process.pid)).length + " others"';
/** Writes a file in the place of the socket. */
const TAKES = 'fs.writeFileSync("/run/remit/check.sock", "") ?? "written"';
/** Tries to change the configuration. */
const WRITES = `(() => { try { fs.writeFileSync("${CONFIGURATION}", ""); return "written" } catch (error) { return error.code } })()`;

const NOT_OURS = 'the native sidecar `remit` must be the one of the policy remit-inject';
const NOT_OUR_VOLUMES = 'the volumes `remit-…` must be those of the policy remit-inject';
const MOUNTS = 'other containers than `remit` may mount two of its volumes';
const SHARED = 'a pod with Remit must not have `shareProcessNamespace` or `hostPID`';
/** A probe makes no sense of what must end. Without any, the guard refuses it. */
const PROBES_OF_INIT = 'may not be set for init containers without restartPolicy=Always';
const TWICE = 'Duplicate value: "remit"';

/** Pods whose other containers could take the place of Remit. */
const BESIDE: readonly HostilePod[] = [
  {
    what: 'no sidecar',
    change: (spec) => ({ ...withApp('"alone"')(spec), initContainers: [] }),
    refused: NOT_OURS,
    atKubelet: /app said: alone/,
  },
  {
    what: 'a second container `remit`',
    change: ({ containers }) => ({ containers: [...containers, { ...app(STAYS), name: 'remit' }] }),
    refused: TWICE,
    atKubelet: /Duplicate value: "remit"/,
  },
  {
    what: '`shareProcessNamespace`',
    change: (spec) => ({ ...withApp(PROCESSES)(spec), shareProcessNamespace: true }),
    refused: SHARED,
    atKubelet: /app said: [1-9]\d* others/,
  },
  {
    what: '`hostPID`',
    change: (spec) => ({ ...withApp(PROCESSES)(spec), hostPID: true }),
    refused: SHARED,
    atKubelet: /app said: [1-9]\d* others/,
  },
  {
    what: 'its socket, to write',
    change: withApp(TAKES, mount('remit-run', '/run/remit')),
    refused: MOUNTS,
    atKubelet: /app said: written/,
  },
  {
    what: 'a part of the folder of its socket, before Remit starts',
    change: ({ initContainers }) => ({
      initContainers: [
        { ...app('', mount('remit-run', '/r', { readOnly: true, subPath: 'check.sock' })), name: 'first' },
        ...initContainers,
      ],
    }),
    refused: MOUNTS,
    shows: 'fs.statSync("/run/remit/check.sock").isDirectory() ? "a folder" : "free"',
    atKubelet: /remit said: a folder/,
  },
  {
    what: 'a part of the folder of the admin socket of Envoy',
    change: withApp(
      'fs.statSync("/e").isDirectory() ? "a folder" : ""',
      mount('remit-envoy', '/e', { subPath: 'admin.sock' }),
    ),
    refused: MOUNTS,
    atKubelet: /app said: a folder/,
  },
  {
    what: 'its ledger and keys, to read',
    change: withApp(filesIn('/s'), mount('remit-state', '/s', { readOnly: true })),
    refused: MOUNTS,
    atKubelet: /app said: .*ledger-key\.pem/,
  },
  {
    what: 'its temporary files, with the socket for `kubectl exec`',
    change: withApp(filesIn('/s'), mount('remit-tmp', '/s')),
    refused: MOUNTS,
    atKubelet: /app said: .*admin\.sock/,
  },
];

/** Another program, or the same otherwise, in the place of Remit. */
const INSTEAD: readonly HostilePod[] = [
  {
    what: 'another image',
    change: sidecar({ image: IMAGES.coredns }),
    refused: NOT_OURS,
    shows: null,
    atKubelet: /remit ended: .*extra command line arguments/,
  },
  {
    what: 'a command',
    change: sidecar({ command: ['/usr/bin/node', '-e', STAYS] }),
    refused: NOT_OURS,
    atKubelet: /remit said: there/,
  },
  {
    what: 'other arguments',
    change: sidecar({ args: ['--version'] }),
    refused: NOT_OURS,
    shows: null,
    atKubelet: /remit ended: Completed 0/,
  },
  {
    what: 'no `restartPolicy`',
    change: sidecar({ restartPolicy: undefined }),
    refused: PROBES_OF_INIT,
    atKubelet: /app: PodInitializing/,
  },
  {
    what: 'a variable of Node.js',
    change: sidecar(({ env }) => ({
      env: [
        ...listOf(env),
        { name: 'NODE_OPTIONS', value: '--import=data:text/javascript,console.log(`said:%20imported`)' },
      ],
    })),
    refused: NOT_OURS,
    atKubelet: /remit said: imported/,
  },
  {
    what: 'variables of a ConfigMap',
    change: sidecar({ envFrom: [{ configMapRef: { name: 'evil' } }] }),
    refused: NOT_OURS,
    shows: 'process.env.EVIL',
    atKubelet: /remit said: evil/,
  },
  {
    what: 'a hook',
    change: sidecar({ lifecycle: { postStart: { exec: { command: ['/usr/bin/node', '-e', 'process.exit(7)'] } } } }),
    refused: NOT_OURS,
    atKubelet: /PostStartHook failed/,
  },
  {
    what: 'a probe that runs a command',
    change: sidecar({ startupProbe: { exec: { command: ['/usr/bin/node', '-e', 'process.exit(7)'] } } }),
    refused: NOT_OURS,
    shows: null,
    atKubelet: /^Startup probe failed:/m,
  },
  {
    what: 'the user root',
    change: user(0),
    refused: NOT_OURS,
    atKubelet: /container's runAsUser breaks non-root policy/,
  },
  { what: 'another user', change: user(1), refused: NOT_OURS, shows: 'process.getuid()', atKubelet: /remit said: 1$/m },
];

/** Another configuration for the right program. */
const CONFIGURED: readonly HostilePod[] = [
  {
    what: 'another ConfigMap',
    change: volume('remit-config', { configMap: { name: 'evil' } }),
    refused: NOT_OUR_VOLUMES,
    shows: textOf(CONFIGURATION),
    atKubelet: /remit said: "evil"/,
  },
  {
    what: 'another key of the ConfigMap',
    change: volume('remit-config', {
      configMap: { name: 'remit-sidecar', items: [{ key: 'missing', path: 'remit.yaml' }] },
    }),
    refused: NOT_OUR_VOLUMES,
    atKubelet: /configmap references non-existent config key: missing/,
  },
  {
    what: 'a projected volume',
    change: volume('remit-config', { projected: { sources: [{ configMap: { name: 'evil' } }] } }),
    refused: NOT_OUR_VOLUMES,
    shows: textOf(CONFIGURATION),
    atKubelet: /remit said: "evil"/,
  },
  {
    what: 'policies that anybody may write',
    change: volume('remit-policies', { configMap: { name: 'evil', optional: true } }),
    refused: NOT_OUR_VOLUMES,
    shows: filesIn('/etc/remit/policies'),
    atKubelet: /remit said: .*remit\.yaml/,
  },
  ...['/var/run/secrets/../../../etc/remit', '/etc//remit', '/etc/remit/', '/etc/./remit'].map((path): HostilePod => ({
    what: `a volume at \`${path}\``,
    change: further(path),
    refused: NOT_OURS,
    shows: textOf(CONFIGURATION),
    atKubelet: /remit said: "evil"/,
  })),
  {
    what: 'a volume over the program',
    change: further('/app'),
    refused: NOT_OURS,
    shows: filesIn('/app'),
    atKubelet: /remit said: .*remit\.yaml/,
  },
  {
    what: 'a part of the volume',
    change: configurationMount({ subPath: 'sub' }),
    refused: NOT_OURS,
    atKubelet: /read-only file system/,
  },
  {
    what: 'a part that a variable names',
    change: configurationMount({ subPathExpr: '$(REMIT_LEDGER_NAME)' }),
    refused: NOT_OURS,
    atKubelet: /read-only file system/,
  },
  {
    what: 'its configuration, to write',
    change: configurationMount({ readOnly: false }),
    refused: NOT_OURS,
    shows: WRITES,
    atKubelet: /remit said: EROFS/,
  },
  {
    what: 'the message of its end over its configuration',
    change: sidecar({ terminationMessagePath: CONFIGURATION }),
    refused: NOT_OURS,
    shows: textOf(CONFIGURATION),
    atKubelet: /remit said: ""/,
  },
  {
    what: 'the message of its end over a policy',
    change: sidecar({ terminationMessagePath: POLICY }),
    refused: NOT_OURS,
    shows: textOf(POLICY),
    atKubelet: /remit said: ""/,
  },
];

/** All of them: the table of the guard. */
export const HOSTILE: readonly HostilePod[] = [...BESIDE, ...INSTEAD, ...CONFIGURED];
