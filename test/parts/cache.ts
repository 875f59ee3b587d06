import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { ENVOY_VERSION } from '../../src/dev/envoy-binary.ts';
import { cachedPostgres, POSTGRES_VERSION } from '../../src/dev/postgres/binaries.ts';
import { analysisFolderIn } from '../../src/tools/policy/analyze/programs.ts';

/** The Envoys the wire is held against, oldest first. */
export const envoyVersions = ['1.36.4', '1.37.0', '1.38.3', '1.39.3', ENVOY_VERSION] as const;

/** The SPIRE the tests run against. */
export const SPIRE_VERSION = '1.13.3';

/** The Prometheus, with promtool, that metrics, dashboards and alert rules are held against. */
export const PROMETHEUS_VERSION = '3.16.0';

/** Where parts are kept: REMIT_CACHE, else `~/.cache/remit`; the same place as the command has. */
export const cacheFolder = resolve(process.env['REMIT_CACHE'] ?? join(homedir(), '.cache', 'remit'));

/** Where SPIRE is installed, whether it is there or not. */
export const spireFolder = join(cacheFolder, `spire-${SPIRE_VERSION}`);

/** The Jaeger the tests run against: the newest that the Go module path reaches, since its v2 has no path of its own. */
export const JAEGER_VERSION = '1.76.0';

/** Where Jaeger is installed, whether it is there or not. */
export const jaegerFolder = join(cacheFolder, `jaeger-${JAEGER_VERSION}`);

/** Its pages, of Jaeger UI 1.68.0, as a Go module that has them built. */
export const JAEGER_UI_VERSION = 'v0.0.0-20250408171107-3dd17559e117';

/** Where its pages are installed, whether they are there or not. */
export const jaegerUiFolder = join(cacheFolder, `jaeger-ui-${JAEGER_UI_VERSION}`);

/** Where Prometheus is installed, whether it is there or not. */
export const prometheusFolder = join(cacheFolder, `prometheus-${PROMETHEUS_VERSION}`);

/** The gRPC clients on grpc-go that the check server is tried with: one that calls, and one that loads. */
export const GRPCURL_VERSION = '1.9.4';
export const GHZ_VERSION = '0.93.0';

/** Where grpcurl is installed, whether it is there or not. */
export const grpcurlFolder = join(cacheFolder, `grpcurl-${GRPCURL_VERSION}`);
/** Where ghz is installed, whether it is there or not. */
export const ghzFolder = join(cacheFolder, `ghz-${GHZ_VERSION}`);

/** The conformance suite of HTTP/2 that the check server is held to: the newest that the Go module path reaches. */
export const H2SPEC_VERSION = '2.2.1';

/** Where h2spec is installed, whether it is there or not. */
export const h2specFolder = join(cacheFolder, `h2spec-${H2SPEC_VERSION}`);

/** The command of Cedar that the policy folder is held to: of the version of the engine in use. */
export const CEDAR_VERSION = '4.13.0';

/** Where that is installed, whether it is there or not. */
export const cedarFolder = join(cacheFolder, `cedar-${CEDAR_VERSION}`);

/** Where the symbolic analysis of policies is installed, whether it is there or not: `cedar`, `cvc5` and the solver's Python package. */
export const analysisFolder = analysisFolderIn(cacheFolder);

/** Where PostgreSQL is installed, whether it is there or not. */
export const postgresFolder = join(cacheFolder, `postgres-${POSTGRES_VERSION}`);

/** Its programs. */
export const postgresBinaries = cachedPostgres(cacheFolder);

/** SeaweedFS, the S3-compatible store that received records are kept in by tests. As a Go module its releases have no versions. */
export const SEAWEEDFS_VERSION = 'v0.0.0-20261109003541-7506e5f91cd6';

/** Where that is installed, whether it is there or not. */
export const seaweedfsFolder = join(cacheFolder, `seaweedfs-${SEAWEEDFS_VERSION}`);

/** Patroni: for failovers by a real manager. Installed and run only with `REMIT_PARTS=all`. */
export const PATRONI_VERSION = '4.1.5';
/** The store of Patroni and of Kubernetes. */
export const ETCD_VERSION = '3.7.3';

/** The reference implementation of the Compose Specification, which compose files are held against. */
export const COMPOSE_GO_VERSION = '2.16.2';

/** Where it is installed, whether it is there or not. */
export const composeGoFolder = join(cacheFolder, `compose-go-${COMPOSE_GO_VERSION}`);

/** The witness of transparency logs that cosigns checkpoints of ledgers: the newest that Go 1.26 builds. */
export const LITEWITNESS_VERSION = '0.9.0';

/** Where it is installed, whether it is there or not. */
export const litewitnessFolder = join(cacheFolder, `litewitness-${LITEWITNESS_VERSION}`);

/** Where Patroni is installed, whether it is there or not. */
export const patroniFolder = join(cacheFolder, `patroni-${PATRONI_VERSION}`);
/** Where etcd is installed, whether it is there or not. */
export const etcdFolder = join(cacheFolder, `etcd-${ETCD_VERSION}`);

/** The Kubernetes whose API server manifests, charts and admission policies are held against. */
export const KUBERNETES_VERSION = '1.37.2';

/** Where its API server and client are installed, whether they are there or not. */
export const kubernetesFolder = join(cacheFolder, `kubernetes-${KUBERNETES_VERSION}`);

/** Envoy Gateway, which runs without Kubernetes from files. */
export const ENVOY_GATEWAY_VERSION = '1.9.1';

/** Where that is installed, whether it is there or not. */
export const envoyGatewayFolder = join(cacheFolder, `envoy-gateway-${ENVOY_GATEWAY_VERSION}`);

/** Istio's control plane. As a Go module it has no releases: this is its main branch after 1.30. */
export const ISTIO_VERSION = 'v0.0.0-20260827124520-eed52ebb66ad';

/** Where that is installed, whether it is there or not. */
export const istioFolder = join(cacheFolder, `istio-${ISTIO_VERSION}`);

/** The file in the folder of a mesh's part with the definitions of its objects. */
export const MESH_CRDS = 'crds.yaml';

/** What the chart is tried with. Users have both versions of Helm. */
export const HELM_VERSION = '4.3.1';
export const HELM_3_VERSION = '3.22.0';
export const HELM_UNITTEST_VERSION = '1.1.2';
export const HELM_DOCS_VERSION = '1.14.2';
export const KUBECONFORM_VERSION = '0.8.0';

/** Where Helm 4 and 3 are installed, whether they are there or not. */
export const helmFolder = join(cacheFolder, `helm-${HELM_VERSION}`);
export const helm3Folder = join(cacheFolder, `helm-${HELM_3_VERSION}`);
/** Where helm-unittest is installed, whether it is there or not. */
export const helmUnittestFolder = join(cacheFolder, `helm-unittest-${HELM_UNITTEST_VERSION}`);
/** Where helm-docs is installed, whether it is there or not. */
export const helmDocsFolder = join(cacheFolder, `helm-docs-${HELM_DOCS_VERSION}`);
/** Where kubeconform is installed, whether it is there or not. */
export const kubeconformFolder = join(cacheFolder, `kubeconform-${KUBECONFORM_VERSION}`);
/** Where the description of the API of Kubernetes is, whether it is there or not. */
export const kubernetesApiFolder = join(cacheFolder, `kubernetes-api-${KUBERNETES_VERSION}`);
/** The Prometheus operator whose objects the chart has: the newest that the Go module path reaches. */
export const PROMETHEUS_OPERATOR_VERSION = '0.85.0';
/** Where the description of its API is, whether it is there or not. */
export const prometheusOperatorFolder = join(cacheFolder, `prometheus-operator-${PROMETHEUS_OPERATOR_VERSION}`);
/** Where its program is, whether it is there or not. */
export const prometheusOperatorProgramFolder = `${prometheusOperatorFolder}-program`;

/** What the image is built on in tests: a Debian without its tools, and one with npm and a shell. */
export const imageBasesFolder = join(cacheFolder, 'image-bases-1');
