//! `revoke`, `restore`, `revocations`.

use crate::args::{Access, Globals};
use crate::failure::Done;
use crate::output::{json, line, table};
use crate::signed::Known;
use vestibule_api::wire::{Revocation, RevocationView, Revoked};

/// `revoke`
pub async fn revoke(args: &Access, globals: &Globals) -> Done {
    let client = Known::find(globals)?.signed_in()?;
    let revoked: Revoked = client.post("/v1/revocations", &asked(args)).await?;
    if globals.json {
        json(&revoked);
    } else {
        line(format!(
            "Access of {} is revoked; open sessions that are being ended: {}.",
            revoked.identity, revoked.sessions
        ));
    }
    Ok(())
}

/// `restore`
pub async fn restore(args: &Access, globals: &Globals) -> Done {
    let client = Known::find(globals)?.signed_in()?;
    client.delete("/v1/revocations", &asked(args)).await?;
    line(format!("Access of {} is restored.", args.identity));
    Ok(())
}

/// `revocations`
pub async fn list(globals: &Globals) -> Done {
    let revoked: Vec<RevocationView> = Known::find(globals)?.signed_in()?.get("/v1/revocations").await?;
    if globals.json {
        json(&revoked);
    } else if revoked.is_empty() {
        line("Nobody's access is revoked.");
    } else {
        let rows: Vec<_> = revoked.into_iter().map(|r| vec![r.identity, r.at, r.by, r.reason]).collect();
        line(table(&["IDENTITY", "SINCE", "BY", "WHY"], &rows));
    }
    Ok(())
}

fn asked(args: &Access) -> Revocation {
    Revocation { identity: args.identity.clone(), reason: args.reason.clone() }
}
