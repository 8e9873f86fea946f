package longhorn
import ("testing";"os";"context";"time";"k8s.io/client-go/rest";"sigs.k8s.io/e2e-framework/klient";"blackout/e2e/cluster";"blackout/e2e/scenario";"k8s.io/apimachinery/pkg/api/resource"
 metav1 "k8s.io/apimachinery/pkg/apis/meta/v1")
type fakeC struct{k klient.Client}
func (f fakeC) Name() string{return "dev"}
func (f fakeC) Client() klient.Client{return f.k}
func (f fakeC) Nodes(context.Context)([]cluster.Node,error){return []cluster.Node{{Name:"n1",Role:cluster.Worker},{Name:"n2",Role:cluster.Worker}},nil}
func (f fakeC) Capabilities() cluster.Capabilities{return cluster.Capabilities{}}
func TestDevAPI(t *testing.T){
 v:=os.Getenv("DEVV")
 cfg:=&rest.Config{Host:"https://127.0.0.1:26443",BearerToken:"tok",TLSClientConfig:rest.TLSClientConfig{Insecure:true}}
 var k klient.Client; var err error
 for i:=0;i<60;i++{ if k,err=klient.New(cfg);err==nil{break}; time.Sleep(time.Second)}
 if err!=nil{t.Fatal(err)}
 r:=release(v); r.CRDs,_=os.ReadFile("/root/go/pkg/mod/github.com/longhorn/longhorn-manager@"+v+"/k8s/crds.yaml")
 tm:=scenario.DefaultTimeouts(); tm.ManagersReady=5*time.Second; tm.VolumesHealthy=4*time.Second; tm.BackupDone=3*time.Second; tm.APICall=10*time.Second; tm.BackupTargetAvailable=4*time.Second
 c:=fakeC{k}; ctx:=t.Context()
 start:=time.Now()
 if err:=Install(ctx,c,r,tm,t.Logf);err!=nil{t.Fatal(err)}
 t.Log("first",time.Since(start)); start=time.Now()
 if err:=Install(ctx,c,r,tm,t.Logf);err!=nil{t.Fatal(err)}
 t.Log("second",time.Since(start))
 r2:=r; r2.Version="v1.6.9"; t.Log(Install(ctx,c,r2,tm,t.Logf))
 s,_:=Open(c,r,tm,t.Logf)
 t.Log("READY:",s.WaitReady(ctx,time.Time{}))
 set:=VolumeSet{Count:2,Size:resource.MustParse("16Mi"),Replicas:2,NamePrefix:"vol"}
 _,err=s.CreateVolumes(ctx,set); t.Log("VOLUMES:",err)
 for _,n:=range set.names(){ va:=&VolumeAttachment{ObjectMeta:metav1.ObjectMeta{Name:n,Namespace:Namespace},Spec:VolumeAttachmentSpec{Volume:n}}; t.Log(s.api.Create(ctx,va))}
 set.NamePrefix="vol"; for i,n:=range set.names(){ if err:=s.attach(ctx,n,"n1");err!=nil{t.Error(i,err)}; var va VolumeAttachment; s.api.Get(ctx,n,Namespace,&va); t.Logf("%+v",va.Spec.AttachmentTickets[TicketID])}
 t.Log("HEALTHY:",s.WaitVolumesHealthy(ctx,set.names(),time.Time{}))
 t.Log("BACKUP:",s.CreateBackup(ctx,"vol-000","snap","b1"))
 t.Log("AGAIN:",s.CreateBackup(ctx,"vol-000","snap","b1"))
 _,err=s.WaitBackup(ctx,"b1"); t.Log("WAIT:",err)
 _,err=s.WaitBackup(ctx,"nob"); t.Log("WAIT:",err)
 _,err=s.TakeSnapshot(ctx,"vol-000","s1"); t.Log("SNAP:",err)
 _,err=s.InstallObjectStore(ctx,"blackout/versitygw:abc"); t.Log("STORE:",err)
 st,err:=s.storeCredentials(ctx); st2,_:=s.storeCredentials(ctx); t.Log(st.accessKey==st2.accessKey,err)
 for _,n:=range []string{settingTarget,settingCredential}{ s.api.Create(ctx,&Setting{ObjectMeta:named(n)})}
 bt:=&BackupTarget{ObjectMeta:named("default")}; t.Log(s.api.Create(ctx,bt))
 t.Log("TARGET:",s.ConfigureBackupTarget(ctx,st))
 var got BackupTarget; s.api.Get(ctx,"default",Namespace,&got); t.Logf("%+v",got.Spec)
}
