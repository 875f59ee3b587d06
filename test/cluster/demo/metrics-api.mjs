// The metrics API of Kubernetes (metrics.k8s.io/v1beta1) for pods: each of PODS, in NAMESPACE, takes the processor time that the file USAGE has.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const { ADDRESS, CERTIFICATE, KEY, NAMESPACE, PODS, PORT, USAGE } = process.env;
const API = 'metrics.k8s.io/v1beta1';
const kinds = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: API,
  resources: [{ name: 'pods', singularName: '', namespaced: true, kind: 'PodMetrics', verbs: ['get', 'list'] }],
};
const metrics = () => ({
  kind: 'PodMetricsList',
  apiVersion: API,
  metadata: {},
  items: PODS.split(',').map((name) => ({
    metadata: { name, namespace: NAMESPACE },
    timestamp: new Date().toISOString(),
    window: '5s',
    containers: [{ name: 'remit', usage: { cpu: readFileSync(USAGE, 'utf8'), memory: '80Mi' } }],
  })),
});

createServer({ cert: readFileSync(CERTIFICATE), key: readFileSync(KEY) }, (request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(request.url.includes('/pods') ? metrics() : kinds));
}).listen(Number(PORT), ADDRESS);
