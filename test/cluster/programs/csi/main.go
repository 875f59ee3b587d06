// Command csi stands for the SPIFFE CSI driver and its registrar: it mounts the folder of the Workload API's socket into pods, as csi.spiffe.io.
//
//	csi NODE SOCKET-FOLDER PLUGIN-FOLDER REGISTRATION-FOLDER
//
// The paths of PLUGIN-FOLDER must be the kubelet's own, since it is told of the socket there.
package main

import (
	"context"
	"log"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
	pluginregistration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const (
	name    = "csi.spiffe.io"
	version = "0.0.0-test"
)

type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer
	node, sockets string
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: name, VendorVersion: version}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

func (d *driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.node, MaxVolumesPerNode: 1 << 20}, nil
}

func (d *driver) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{}, nil
}

// NodePublishVolume takes what the real driver takes: an ephemeral volume of the pod that containers cannot write.
func (d *driver) NodePublishVolume(_ context.Context, request *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	switch {
	case request.GetVolumeCapability().GetMount() == nil:
		return nil, status.Error(codes.InvalidArgument, "only a mount is given, no block device")
	case request.GetVolumeContext()["csi.storage.k8s.io/ephemeral"] != "true":
		return nil, status.Error(codes.InvalidArgument, "only ephemeral volumes are given")
	case !request.GetReadonly():
		return nil, status.Error(codes.InvalidArgument, "pod.spec.volumes[].csi.readOnly must be true")
	}
	target := request.GetTargetPath()
	if err := os.MkdirAll(target, 0o755); err != nil {
		return nil, status.Errorf(codes.Internal, "make %s: %v", target, err)
	}
	if err := syscall.Mount(d.sockets, target, "", syscall.MS_BIND, ""); err != nil {
		return nil, status.Errorf(codes.Internal, "mount %s: %v", target, err)
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

// NodeUnpublishVolume succeeds if the volume is already gone, since the kubelet repeats it.
func (d *driver) NodeUnpublishVolume(_ context.Context, request *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	target := request.GetTargetPath()
	if err := syscall.Unmount(target, 0); err != nil && err != syscall.EINVAL && err != syscall.ENOENT {
		return nil, status.Errorf(codes.Internal, "unmount %s: %v", target, err)
	}
	if err := os.Remove(target); err != nil && !os.IsNotExist(err) {
		return nil, status.Errorf(codes.Internal, "remove %s: %v", target, err)
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

type registrar struct {
	pluginregistration.UnimplementedRegistrationServer
	endpoint string
}

func (r *registrar) GetInfo(context.Context, *pluginregistration.InfoRequest) (*pluginregistration.PluginInfo, error) {
	return &pluginregistration.PluginInfo{
		Type: pluginregistration.CSIPlugin, Name: name, Endpoint: r.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r *registrar) NotifyRegistrationStatus(_ context.Context, s *pluginregistration.RegistrationStatus) (*pluginregistration.RegistrationStatusResponse, error) {
	log.Printf("registered: %v %s", s.PluginRegistered, s.Error)
	return &pluginregistration.RegistrationStatusResponse{}, nil
}

// serve listens at a socket, in the place of one that an earlier container left.
func serve(socket string, register func(*grpc.Server)) {
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	register(server)
	log.Fatal(server.Serve(listener))
}

func main() {
	if len(os.Args) != 5 {
		log.Fatal("usage: csi NODE SOCKET-FOLDER PLUGIN-FOLDER REGISTRATION-FOLDER")
	}
	d := &driver{node: os.Args[1], sockets: os.Args[2]}
	endpoint := filepath.Join(os.Args[3], "csi.sock")
	go serve(endpoint, func(s *grpc.Server) {
		csi.RegisterIdentityServer(s, d)
		csi.RegisterNodeServer(s, d)
	})
	serve(filepath.Join(os.Args[4], name+"-reg.sock"), func(s *grpc.Server) {
		pluginregistration.RegisterRegistrationServer(s, &registrar{endpoint: endpoint})
	})
}
