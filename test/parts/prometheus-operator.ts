import { PROMETHEUS_OPERATOR_VERSION, prometheusOperatorProgramFolder } from './cache.ts';
import type { GoPart } from './go-part.ts';

/** The program that makes the configuration of a Prometheus of the objects that the chart has. Its command is called `operator`. */
export const prometheusOperator: GoPart = {
  name: `the Prometheus operator ${PROMETHEUS_OPERATOR_VERSION}`,
  folder: prometheusOperatorProgramFolder,
  modules: ['github.com/prometheus-operator/prometheus-operator/cmd/operator'],
  version: `v${PROMETHEUS_OPERATOR_VERSION}`,
  tags: '',
  ldflags: '-s -w',
  isCgo: false,
  takes: 'some minutes on 2 cores, once',
};
