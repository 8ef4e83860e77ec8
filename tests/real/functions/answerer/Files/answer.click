// Answers ARP requests for its address and echo requests to it.
c :: Classifier(12/0806 20/0001, 12/0800, -);
out :: ToDevice(eth0);
FromDevice(eth0) -> c;
c [0] -> ARPResponder($ETH0_IP $ETH0_MAC) -> out;
c [1] -> Strip(14) -> CheckIPHeader -> IPClassifier(dst host $ETH0_IP) -> ICMPPingResponder
  -> answered :: Counter -> way :: Switch($WAY);
way [0] -> Unstrip(14) -> EtherMirror -> out;
way [1] -> Discard;
c [2] -> Discard;
