//! The cluster's own certificate authority.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

/// A certificate and its private key, as PEM files.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The authority that every component of one control plane trusts.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    files: Issued,
}

impl Authority {
    /// A new authority that keeps its files in `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "reelpool-tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = write(&folder, "ca", &issuer.pem(), issuer.key());
        Self { issuer, folder, files }
    }

    /// The authority's own certificate and key.
    pub(crate) fn files(&self) -> &Issued {
        &self.files
    }

    /// A certificate for a client, a server or both. `organisation` is the group that Kubernetes sees in it; empty
    /// for none. The files' names are made from `common_name`: a second one of this name replaces the first.
    pub(crate) fn issue(
        &self,
        common_name: &str,
        organisation: &str,
        dns: &[&str],
        addresses: &[IpAddr],
    ) -> Issued {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        if !organisation.is_empty() {
            params.distinguished_name.push(DnType::OrganizationName, organisation);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let names = dns.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()));
        params.subject_alt_names = names.chain(addresses.iter().copied().map(SanType::IpAddress)).collect();
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        write(&self.folder, &common_name.replace([':', '/'], "-"), &cert.pem(), &key)
    }
}

/// A private key and its public half, as PEM files, with no certificate.
pub(crate) fn signing_key(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let files = (folder.join(format!("{name}.key")), folder.join(format!("{name}.pub")));
    std::fs::write(&files.0, key.serialize_pem()).unwrap();
    std::fs::write(&files.1, key.public_key_pem()).unwrap();
    files
}

fn write(folder: &Path, name: &str, cert: &str, key: &KeyPair) -> Issued {
    let issued = Issued { cert: folder.join(format!("{name}.crt")), key: folder.join(format!("{name}.key")) };
    std::fs::write(&issued.cert, cert).unwrap();
    std::fs::write(&issued.key, key.serialize_pem()).unwrap();
    issued
}
